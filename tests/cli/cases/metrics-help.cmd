weft metrics --help
