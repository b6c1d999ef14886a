weft verify breadth-first --pipeline 3 --microbatches 5 --placement 2,0,1,1,2,0,2
