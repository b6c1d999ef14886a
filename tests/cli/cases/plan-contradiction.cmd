weft plan plan/model.yaml plan/cluster.yaml --batch 64 --fix pipeline=1,schedule=1f1b
