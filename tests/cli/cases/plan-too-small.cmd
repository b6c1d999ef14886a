weft plan plan/model.yaml plan/cluster.yaml --gpus 2 --batch 64
