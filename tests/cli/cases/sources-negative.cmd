weft config train.yaml 'data.sources=[{path: corpus.txt, weight: -2}]'
