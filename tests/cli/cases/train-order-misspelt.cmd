weft train train.yaml --dry-run parallel.order=tensor-pipeline
