weft schedule gpipe --pipeline two --microbatches 2
