weft config train.yaml 'data.sources=[{path: a, path: b}]'
