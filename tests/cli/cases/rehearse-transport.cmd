weft rehearse 1f1b --pipeline 2 --microbatches 4 --unit us --forward 200 --backward-input 200 --backward-weight 200 --transport mip
