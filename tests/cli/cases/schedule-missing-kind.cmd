weft schedule --pipeline 2 --microbatches 2
