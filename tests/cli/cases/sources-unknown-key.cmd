weft config train.yaml 'data.sources=[{path: corpus.txt, wieght: 2}]'
