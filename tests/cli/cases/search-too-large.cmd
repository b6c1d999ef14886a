weft search --pipeline 4 --loops 2 --microbatches 100
