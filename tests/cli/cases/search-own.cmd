weft search --pipeline 4 --microbatches 8 --memory-cap 7 --objective own
