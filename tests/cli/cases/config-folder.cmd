weft config .
