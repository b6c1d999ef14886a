weft train train.yaml device=cuda
