weft schedule breadth-first --format csv --pipeline=2 --loops=2 --microbatches=3
