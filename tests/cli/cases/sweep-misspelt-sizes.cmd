weft sweep train.yaml microbatches=1,2
