weft train train.yaml --dry-run parallel.data=4 model.width=256 model.context=256 memory_limit=24MiB
