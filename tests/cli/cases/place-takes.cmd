weft train --dry-run train.yaml parallel.pipeline=2 model.layers=5 model.width=128 model.vocabulary=1024 batch.microbatches=4 parallel.placement=auto
