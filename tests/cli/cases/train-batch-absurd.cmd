weft train train.yaml --dry-run batch.sequences=1048576 model.context=16777216
