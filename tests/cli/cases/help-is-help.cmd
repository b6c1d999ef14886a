weft help >a; weft --help >b; weft help help >c; weft help --help >d; cmp a b && cmp c d && echo same
