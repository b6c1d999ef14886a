weft config train.yaml data.path= 'data.sources=[{path: a, path: b}]'
