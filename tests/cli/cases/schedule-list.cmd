weft schedule gpipe --pipeline 2 --microbatches 2 --placement 0,1,1,0
