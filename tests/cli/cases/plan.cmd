weft plan plan/model.yaml plan/cluster.yaml --batch 64 --tokens 1e11 --top 6
