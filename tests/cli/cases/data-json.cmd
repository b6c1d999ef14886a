weft data corpus.txt --json
