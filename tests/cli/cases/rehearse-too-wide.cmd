weft rehearse 1f1b --pipeline 64 --microbatches 64 --data 17 --forward 1 --backward-input 1 --backward-weight 1
