weft train train.yaml parallel.pipeline=2 parallel.stages=[2]
