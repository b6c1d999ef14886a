weft verify --help | sed '/^kinds:/,$d'
