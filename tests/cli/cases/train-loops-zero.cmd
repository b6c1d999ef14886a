weft train train.yaml parallel.loops=0
