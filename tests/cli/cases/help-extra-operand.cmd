weft help schedule compare
