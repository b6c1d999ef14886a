weft search --microbatches 2
