weft train train.yaml parallel.pipeline=2 parallel.placement=0,9 --dry-run
