weft train train.yaml parallel.pipeline=2 parallel.loops=4 model.layers=4 --dry-run | grep ^note
