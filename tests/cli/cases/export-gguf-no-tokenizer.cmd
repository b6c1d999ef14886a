weft train train.yaml >log && weft export run/train --gguf out.gguf && ls out.gguf*
