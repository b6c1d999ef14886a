weft plan plan/model.yaml plan/cluster.yaml --gpus 4,8,16,32 --batch 64,256 --tokens 1e11 --days 30 --screen-only
