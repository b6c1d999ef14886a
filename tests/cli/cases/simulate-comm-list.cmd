weft simulate gpipe --pipeline 2 --microbatches 2 --comm 1,2,3
