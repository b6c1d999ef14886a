weft schedule gpipe --pipeline 3 --pipeline=1 --microbatches 2 --format csv
