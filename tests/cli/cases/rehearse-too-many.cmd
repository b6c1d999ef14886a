weft rehearse 1f1b --pipeline 2000 --microbatches 4 --forward 1
