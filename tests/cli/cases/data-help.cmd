weft data --help
