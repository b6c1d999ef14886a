weft train train.yaml 'data.sources=[{path: corpus.txt}, {path: nowhere}]' --dry-run
