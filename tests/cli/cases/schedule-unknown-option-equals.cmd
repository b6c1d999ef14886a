weft schedule gpipe --microbatch=2
