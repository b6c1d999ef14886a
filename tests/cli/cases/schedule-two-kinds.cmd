weft schedule gpipe 1f1b --pipeline 2 --microbatches 2
