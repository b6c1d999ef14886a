weft config train.yaml parallel.auto=true parallel.workers=2 parallel.cluster=plan/two.yaml model.width=32 batch.microbatches=8 parallel.pipeline=2 2>&1 | grep -e auto: -e ' plan' -e command
