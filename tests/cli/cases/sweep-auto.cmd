weft sweep auto.yaml microbatch=1,2
