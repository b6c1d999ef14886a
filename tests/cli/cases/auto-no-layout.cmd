weft train auto.yaml --dry-run parallel.workers=5
