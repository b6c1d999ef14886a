weft timeline measured --svg t.svg --costs-out t.svg
