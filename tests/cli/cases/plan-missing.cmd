weft plan nothing.yaml plan/cluster.yaml
