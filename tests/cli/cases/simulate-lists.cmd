weft simulate gpipe --pipeline 2 --microbatches 1 --forward 1 --backward-input 1 --backward-weight 1 --comm 0.25,0.5 --update 0,1 --reduce 0.125,0.25
