echo '{"num_hidden_layers": 2, "num_local_experts": 8}' > moe.json; weft plan moe.json plan/cluster.yaml
