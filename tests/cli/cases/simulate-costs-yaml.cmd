weft simulate gpipe --pipeline 4 --microbatches 4 --costs costs/four.yaml
