weft timeline measured --step 7
