printf 'data:\n  sources:\n    - path: corpus.txt\n      weight: 1\n    - weight: 3\n      path: corpus.txt\n' >blend.yaml; weft config blend.yaml | sed -n '/^data/,/^batch/p'
