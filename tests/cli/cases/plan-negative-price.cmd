sed -i 's/hour: 1.5/hour: -1/' plan/cluster.yaml; weft plan plan/model.yaml plan/cluster.yaml
