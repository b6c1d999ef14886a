weft schedule nothing.csv
