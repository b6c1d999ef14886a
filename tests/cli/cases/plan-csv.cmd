weft plan plan/model.yaml plan/cluster.yaml --batch 64 --top 2 --csv --fix schedule=1f1b
