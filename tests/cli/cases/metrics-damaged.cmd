LC_ALL=C weft metrics curves/damaged.jsonl
