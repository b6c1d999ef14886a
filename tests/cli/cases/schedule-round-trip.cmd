weft schedule breadth-first --pipeline 3 --loops 2 --microbatches 5 --format csv >a.csv && weft schedule a.csv --format csv | cmp - a.csv && echo same
