weft compare --help
