weft schedule gpipe --pipeline 2 --microbatches 2 --format csv --json
