weft train train.yaml >log && printf "a\\0b" | weft generate run/train --prompt -
