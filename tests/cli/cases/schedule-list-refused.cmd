weft schedule 1f1b --pipeline 2 --microbatches 2 --placement 0,1,0
