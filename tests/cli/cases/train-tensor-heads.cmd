weft train train.yaml --dry-run parallel.tensor=3
