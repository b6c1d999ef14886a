weft search --pipeline 4 --microbatches 6 --memory-cap 3 --format csv >best.csv && weft verify best.csv --memory-cap 3 && weft simulate best.csv | head -2
