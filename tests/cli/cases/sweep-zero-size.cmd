weft sweep train.yaml microbatch=0,1
