sed -i 's/kv_heads: 8/kv_heads: 5/' plan/model.yaml; weft plan plan/model.yaml plan/cluster.yaml
