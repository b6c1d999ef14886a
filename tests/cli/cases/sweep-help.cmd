weft sweep --help
