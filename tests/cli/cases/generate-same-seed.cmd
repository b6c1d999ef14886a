weft train train.yaml >log && weft generate run/train --prompt warp --tokens 20 --seed 3 >a && weft generate run/train --prompt warp --tokens 20 --seed 3 >b && cmp a b && wc -c <a
