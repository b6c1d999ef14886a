weft simulate --help | sed '/^kinds:/,$d'
