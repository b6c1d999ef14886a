weft train train.yaml device=gpu:0 --dry-run
