weft help compare
