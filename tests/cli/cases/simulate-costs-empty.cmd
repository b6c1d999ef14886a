: >empty.yaml; weft simulate gpipe --pipeline 2 --microbatches 2 --costs empty.yaml
