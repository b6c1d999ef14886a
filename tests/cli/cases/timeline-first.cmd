weft timeline measured --step 1
