weft train train.yaml --dry-run parallel.auto=true
