weft schedule gpipe --pipeline 100000 --microbatches 100000
