weft tokenize --tokenizer nowhere --out x corpus.txt
