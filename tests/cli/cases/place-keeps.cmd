weft train --dry-run train.yaml parallel.pipeline=2 model.layers=4 batch.microbatches=4 parallel.loops=2 parallel.placement=auto | grep -e note -e predicted
