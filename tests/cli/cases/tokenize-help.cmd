weft tokenize --help
