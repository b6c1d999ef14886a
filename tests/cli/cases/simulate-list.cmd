weft simulate breadth-first-split --pipeline 2 --microbatches 4 --placement 0,1,0 --forward 1,2,1 --backward-input 1,2,1 --backward-weight 1,1,1 --comm 0.5
