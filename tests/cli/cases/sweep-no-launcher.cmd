weft sweep train.yaml microbatch=1,2 transport=mpi parallel.pipeline=2
