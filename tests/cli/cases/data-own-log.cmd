mkdir texts; cd texts; printf 'a b' >a.txt; echo log >log; weft tokenize --tokenizer "$ROOT/tests/tokenizer/files/gpt2.json" --out ../tokens . >>log; weft data . >>log; grep -v MB log
