weft config
