weft train
