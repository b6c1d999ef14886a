weft schedule --pipeline --help x; weft schedule a b c --help | head -1
