weft plan --help
