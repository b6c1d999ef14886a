weft sweep train.yaml microbatch=1,two,4
