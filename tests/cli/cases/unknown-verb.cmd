weft scedule
