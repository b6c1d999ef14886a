weft rehearse 1f1b --pipeline 2 --microbatches 4 --forward 1e6 --backward-input 1 --backward-weight 1
