weft train train.yaml >log && weft compare run/train nothing
