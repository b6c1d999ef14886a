weft train train.yaml data.path= 'data.sources=[{path: corpus.txt}, {path: nowhere}]' --dry-run
