weft plan plan/model.yaml plan/cluster.yaml --batch 64 --gpus 4,32 --top 1 --json --screen-only --fix shard=none
