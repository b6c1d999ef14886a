weft config train.yaml data.path=corpus.txt 'data.sources=[{path: corpus.txt}]'
