weft train train.yaml >log && weft generate run/train --prompt warp --stop ""
