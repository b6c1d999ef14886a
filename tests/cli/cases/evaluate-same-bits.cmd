weft train train.yaml >log && weft evaluate run/train --json >a && weft evaluate run/train parallel.pipeline=2 parallel.loops=1 --json >b && cmp a b && cut -d, -f 1-3 a
