weft schedule --help
