weft timeline measured --stop 1
