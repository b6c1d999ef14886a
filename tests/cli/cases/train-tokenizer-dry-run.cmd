cp "$ROOT/tests/tokenizer/files/gpt2.json" . && weft train train.yaml --dry-run data.tokenizer=gpt2.json model.vocabulary=512 data.cache=cache | grep tokenised && test ! -e cache
