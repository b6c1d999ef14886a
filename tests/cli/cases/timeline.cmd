weft timeline measured
