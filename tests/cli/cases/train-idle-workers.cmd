weft train train.yaml parallel.pipeline=9 model.layers=4 --dry-run | grep -E "^(note|workers)"; weft train train.yaml parallel.pipeline=9 model.layers=4 run.steps=1 | grep ^note
