weft train --dry-run train.yaml parallel.auto=true parallel.workers=2 parallel.cluster=plan/two.yaml parallel.placement=auto
