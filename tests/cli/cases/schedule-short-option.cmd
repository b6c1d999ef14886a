weft schedule gpipe -p 2
