head -c 48 corpus.txt >short.txt; weft data short.txt
