weft export --help
