cp "$ROOT/tests/tokenizer/files/gpt2.json" . && weft train train.yaml data.tokenizer=gpt2.json
