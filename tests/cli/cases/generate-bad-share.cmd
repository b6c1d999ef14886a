weft generate run/train --prompt warp --top-p 1.5
