weft config train.yaml data.sources=corpus.txt
