weft schedule gpipe --pipelin 2
