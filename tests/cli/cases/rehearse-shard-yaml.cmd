weft rehearse train.yaml --shard weights --forward 1
