sed -i 's/node: 100/node: 0/' plan/cluster.yaml; weft plan plan/model.yaml plan/cluster.yaml
