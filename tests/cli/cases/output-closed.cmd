weft help >&-
