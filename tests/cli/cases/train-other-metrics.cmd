weft train train.yaml >log && rm -r run/train/step-* && weft train train.yaml --resume >log && grep note: log; wc -l run/train/metrics.jsonl*
