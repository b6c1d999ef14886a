weft config train.yaml parallel.placement=auto 2>&1 | grep -e note -e placement:
