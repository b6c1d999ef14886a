weft data corpus.txt
