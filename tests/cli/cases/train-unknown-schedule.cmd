weft train train.yaml parallel.schedule=breath-first
