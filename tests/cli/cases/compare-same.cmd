weft train train.yaml >log && weft train train.yaml run.folder=other parallel.pipeline=2 >log && weft compare run/train other
