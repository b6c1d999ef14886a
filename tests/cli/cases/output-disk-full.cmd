weft help >/dev/full
