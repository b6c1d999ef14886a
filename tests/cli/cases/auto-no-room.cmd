weft train auto.yaml --dry-run memory_limit=100KiB
