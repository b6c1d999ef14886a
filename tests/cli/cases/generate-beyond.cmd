weft train train.yaml >log && weft generate run/train --prompt warp --tokens 30 >all && wc -c <all
