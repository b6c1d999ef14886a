weft train train.yaml device=emulated
