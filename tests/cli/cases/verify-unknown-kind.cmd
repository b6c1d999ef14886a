weft verify gpip --pipeline 2 --microbatches 2
