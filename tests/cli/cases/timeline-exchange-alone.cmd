weft timeline measured --exchange-rate 1e9
