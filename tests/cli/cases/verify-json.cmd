weft verify depth-first --pipeline 2 --loops 2 --microbatches 4 --json
