weft train train.yaml parallel.pipeline=3 parallel.stages=[1,0,1] --dry-run | grep ^note; weft train train.yaml parallel.pipeline=2 --dry-run | grep ^note || echo none
