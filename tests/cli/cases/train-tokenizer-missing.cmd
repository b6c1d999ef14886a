weft train train.yaml data.tokenizer=nothing.json
