weft config train.yaml data.path= data.sources=corpus.txt
