weft train train.yaml data.held_out=0.01 --dry-run
