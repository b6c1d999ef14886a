weft plan plan/model.yaml plan/cluster.yaml --batch 64 --top 3 --explain 2
