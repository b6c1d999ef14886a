weft config train.yaml data.path= 'data.sources=[{path: corpus.txt, wieght: 2}]'
