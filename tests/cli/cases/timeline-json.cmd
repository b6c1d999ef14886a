weft timeline measured --step 3 --json
