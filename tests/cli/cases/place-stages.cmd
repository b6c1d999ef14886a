weft config train.yaml parallel.pipeline=2 parallel.stages=[1,1] parallel.placement=auto 2>&1 | grep -e note -e placement:
