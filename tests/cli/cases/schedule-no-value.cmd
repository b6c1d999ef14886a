weft schedule gpipe --pipeline
