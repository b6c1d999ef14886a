weft rehearse 1f1b --pipeline 2 --microbatches 4
