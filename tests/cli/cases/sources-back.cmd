printf 'data:\n  sources:\n    - path: corpus.txt\n' >blend.yaml; weft config blend.yaml data.path=corpus.txt | sed -n '/^data/,/  format/p'
