weft plan plan/model.yaml plan/cluster.yaml --calibrate plan/model.yaml
