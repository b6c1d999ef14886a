weft simulate breadth-first --pipeline 2 --microbatches 4 --exchange 0.25
