weft evaluate run/nothing
