weft train train.yaml >log && weft evaluate run/train --logits log/here
