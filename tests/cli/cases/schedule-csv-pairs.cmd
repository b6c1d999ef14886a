weft schedule dualpipe-v --pipeline 2 --microbatches 4 --format csv
