weft sweep train.yaml microbatch=1,2 --steps 0
