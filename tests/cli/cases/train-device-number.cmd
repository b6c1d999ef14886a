weft train train.yaml device=cpu:0 --dry-run
