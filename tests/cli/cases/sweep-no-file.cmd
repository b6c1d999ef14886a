weft sweep microbatch=1,2
