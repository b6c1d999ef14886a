weft train --dry-run train.yaml parallel.pipeline=2 parallel.schedule=brdth-first parallel.placement=auto
