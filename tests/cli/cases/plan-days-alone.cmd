weft plan plan/model.yaml plan/cluster.yaml --batch 64 --days 3
