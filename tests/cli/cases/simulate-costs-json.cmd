weft simulate gpipe --pipeline 2 --microbatches 2 --costs costs/two.json --forward=1,2
