weft train train.yaml --dry-run parallel.pipeline=2 parallel.loops=2 model.layers=4 batch.microbatches=4 parallel.schedule=breadth-first parallel.data=4 parallel.shard=weights
