weft simulate gpipe --pipeline 2 --microbatches 2 --update 0.5 --reduce 0.25 --json
