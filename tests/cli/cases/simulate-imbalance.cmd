weft simulate 1f1b --pipeline 4 --microbatches 8 --forward 1,1,1,2 --backward 2,2,2,4
