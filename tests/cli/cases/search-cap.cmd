weft search --pipeline 2 --loops 3 --microbatches 2 --memory-cap 2
