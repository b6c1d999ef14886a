weft zzzzzzzzzzzz
