weft train train.yaml --dry-run "optimizer.frozen=*"
