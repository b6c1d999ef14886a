weft train --dry-run train.yaml parallel.pipeline=2 parallel.placement=Auto
