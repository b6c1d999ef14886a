weft timeline nowhere
