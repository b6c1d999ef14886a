weft config train.yaml data.path= 'data.sources=[{weight: 2}]'
