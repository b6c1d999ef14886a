weft train train.yaml >log && weft train train.yaml
