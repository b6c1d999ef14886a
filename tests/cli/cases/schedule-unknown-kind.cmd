weft schedule bredth-first --pipeline 2 --microbatches 2
