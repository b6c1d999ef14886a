weft train train.yaml --dry-run parallel.data=65536 parallel.pipeline=65536
