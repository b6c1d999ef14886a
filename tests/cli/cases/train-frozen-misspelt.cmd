weft train train.yaml --dry-run "optimizer.frozen=layer.0.* layer.1.nrom1.weight"
