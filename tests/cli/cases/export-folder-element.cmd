weft export run --to out --element q8_0
