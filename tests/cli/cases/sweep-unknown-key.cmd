weft sweep train.yaml microbatch=1,2 modle.layers=3
