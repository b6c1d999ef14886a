weft simulate gpip --pipeline 2 --microbatches 2
