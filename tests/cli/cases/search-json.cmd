weft search --pipeline 2 --microbatches 3 --placement 0,1,0 --memory-cap 4 --json | sed /nodes/d
