weft schedule breadth-first --json --pipeline 2 --loops 2 --microbatches 2
