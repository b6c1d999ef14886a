weft plan plan/model.yaml plan/cluster.yaml --batch 64 --explain 1 --csv
