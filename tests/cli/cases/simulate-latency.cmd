weft simulate gpipe --pipeline 2 --microbatches 3 --forward 1 --backward 2 --comm 0.25 --latency 5
