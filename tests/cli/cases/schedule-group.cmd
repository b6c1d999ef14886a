weft schedule hybrid --pipeline 2 --loops 2 --microbatches 6 --group 3 --format csv && weft schedule hybrid --pipeline 2 --microbatches 6 --group 7
