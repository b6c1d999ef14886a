weft search --pipeline 2 --microbatches 3 --loops 2 --placement v --whole --seconds 0
