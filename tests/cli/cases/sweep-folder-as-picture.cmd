mkdir folder; weft sweep train.yaml microbatch=1,2 --svg folder
