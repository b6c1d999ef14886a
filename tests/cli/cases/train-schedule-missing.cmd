weft train train.yaml parallel.schedule=nothing.csv
