weft train nothing.yaml
