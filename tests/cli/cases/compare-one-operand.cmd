weft compare nowhere
