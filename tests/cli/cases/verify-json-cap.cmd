weft verify gpipe --pipeline 2 --microbatches 4 --memory-cap 3 --json
