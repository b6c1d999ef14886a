weft train train.yaml >log && weft compare run/train run/train/step-00000002 --json
