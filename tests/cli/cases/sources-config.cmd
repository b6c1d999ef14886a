weft config train.yaml data.path= 'data.sources=[{path: corpus.txt, weight: 2}, {path: b}]' | grep sources
