printf "\376\377\000f\000o\000r" >wide.yaml; weft simulate 1f1b --pipeline 2 --microbatches 4 --costs wide.yaml
