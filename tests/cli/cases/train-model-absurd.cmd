weft train train.yaml --dry-run model.width=1048576 model.vocabulary=16777216 model.layers=4096
