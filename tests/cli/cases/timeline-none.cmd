weft timeline costs
