weft train train.yaml >log && weft evaluate run/train model.layers=3
