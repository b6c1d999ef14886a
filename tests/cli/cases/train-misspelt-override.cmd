weft train train.yaml modle.layers=3
