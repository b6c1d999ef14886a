weft plan plan/model.yaml plan/cluster.yaml --batch 64 --fix data=5
