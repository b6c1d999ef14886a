weft help scedule
