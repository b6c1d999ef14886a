weft train train.yaml parallel.pipeline=2 parallel.group=1 parallel.schedule=hybrid --dry-run
