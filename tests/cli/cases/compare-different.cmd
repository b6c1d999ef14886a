weft train train.yaml >log && weft train train.yaml run.folder=other run.seed=2 >log && weft compare run/train other | sed "s/[0-9.e-]* (0x[0-9a-f]*)/N/g"; weft compare run/train other >log
