weft simulate gpipe --pipeline 64 --microbatches 8192 --svg step.svg
