weft train train.yaml device=referense
