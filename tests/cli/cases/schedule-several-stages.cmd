weft schedule 1f1b --pipeline 2 --loops 2 --microbatches 2
