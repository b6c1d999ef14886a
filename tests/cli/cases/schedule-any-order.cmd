weft schedule --microbatches 2 --pipeline 3 -- gpipe
