weft simulate gpipe --pipeline 2 --microbatches 2 --data 2 --reduce 3 | grep bubble
