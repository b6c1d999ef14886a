weft simulate gpipe --pipeline 2 --microbatches 2 --forward 1 --backward-input 1 --backward-weight 1,1e308
