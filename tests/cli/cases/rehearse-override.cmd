weft rehearse 1f1b batch.microbatches=4 --pipeline 2 --microbatches 4 --forward 1
