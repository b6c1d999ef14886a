weft train train.yaml --dry-run parallel.pipeline=2 parallel.loops=2 batch.microbatches=4 && test ! -e run
