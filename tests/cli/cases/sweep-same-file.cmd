weft sweep train.yaml microbatch=1,2 --svg a --csv a
