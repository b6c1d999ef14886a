echo 'nodse: 4' >> plan/cluster.yaml; weft plan plan/model.yaml plan/cluster.yaml
