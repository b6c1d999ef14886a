weft train train.yaml run.sample_tokens=5 >out && grep -c ^run out; weft train train.yaml run.sample_tokens=5 model.vocabulary=300 --dry-run
