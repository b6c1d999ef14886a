weft timeline --help
