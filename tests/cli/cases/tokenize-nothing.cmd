weft tokenize corpus.txt
