weft sweep train.yaml microbatch=1,2 --step 3
