weft export run
