weft config train.yaml parallel.pipeline=2 parallel.schedule=schedules/custom.csv parallel.placement=auto 2>&1 | grep -e note -e placement:
