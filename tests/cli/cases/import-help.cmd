weft import --help
