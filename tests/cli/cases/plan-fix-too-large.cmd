weft plan plan/model.yaml plan/cluster.yaml --gpus 8 --batch 64 --fix shard=none,data=4
