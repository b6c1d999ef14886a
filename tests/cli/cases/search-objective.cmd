weft search --pipeline 2 --microbatches 3 --objective bubble
