weft simulate breadth-first --pipeline 4 --loops 2 --microbatches 8
