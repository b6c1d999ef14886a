weft metrics curves/warp curves/damaged.jsonl curves/empty --json --key loss
