weft train train.yaml --dry-run --json parallel.pipeline=2 element=bf16 recompute=full
