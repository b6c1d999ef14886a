LC_ALL=C weft metrics curves/warp/metrics.jsonl
