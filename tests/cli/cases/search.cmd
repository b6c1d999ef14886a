weft search --pipeline 3 --microbatches 4 --memory-cap 3 --comm 0.5
