weft simulate breadth-first --pipeline 2 --microbatches 2 --placement auto
