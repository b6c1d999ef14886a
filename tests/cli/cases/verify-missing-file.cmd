weft verify nothing.csv
