weft schedule gpipe --pipeline 0 --microbatches 2
