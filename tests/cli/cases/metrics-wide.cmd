LC_ALL=C weft metrics curves/wide.jsonl; LC_ALL=C weft metrics curves/wide.jsonl --linear | sed -n "1,3p"
