weft simulate dualpipe-v --pipeline 2 --microbatches 4 --forward 1 --backward-input 1 --backward-weight 1 --overlap 2.5
