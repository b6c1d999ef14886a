weft rehearse train.yaml --pipeline 3 --forward 1
