weft evaluate --help
