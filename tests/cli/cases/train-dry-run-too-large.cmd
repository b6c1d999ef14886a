weft train train.yaml --dry-run memory_limit=100KiB
