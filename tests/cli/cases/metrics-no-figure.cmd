weft metrics curves/one.jsonl --key bits_per_byte
