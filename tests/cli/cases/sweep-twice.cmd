weft sweep train.yaml microbatch=2,1,2
