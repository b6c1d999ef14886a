weft plan plan/model.yaml plan/cluster.yaml --batch 1000000000000000000
