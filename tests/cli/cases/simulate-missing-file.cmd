weft simulate nothing.csv
