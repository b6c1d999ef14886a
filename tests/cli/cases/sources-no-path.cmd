weft config train.yaml 'data.sources=[{weight: 2}]'
