weft sweep train.yaml microbatch=1,2 parallel.pipeline=2 parallel.placement=auto
