weft schedule gpipe --pipeline 2
