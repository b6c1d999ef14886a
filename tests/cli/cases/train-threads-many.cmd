weft train train.yaml threads=100000
