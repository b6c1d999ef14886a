weft config train.yaml parallel.pipeline=2 model.layers=5 model.width=128 model.vocabulary=1024 batch.microbatches=4 parallel.schedule=1f1b parallel.placement=auto 2>&1 | grep -e note -e placement:
