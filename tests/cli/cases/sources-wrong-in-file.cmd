printf 'data:\n  sources:\n    - path: corpus.txt\n      weight: [1]\n' >blend.yaml; weft config blend.yaml
