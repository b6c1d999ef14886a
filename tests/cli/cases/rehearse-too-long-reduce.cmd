weft rehearse 1f1b --pipeline 2 --microbatches 4 --unit ms --forward 1 --backward-input 1 --backward-weight 1 --update 1 --reduce 1e9
