weft simulate gpipe --pipeline 2 --microbatches 2 --costs costs/word.yaml --backward-input 1 --backward-weight 1
