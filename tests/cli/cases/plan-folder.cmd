weft plan plan plan/cluster.yaml
