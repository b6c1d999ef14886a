weft schedule 1f1b --pipeline 2 --microbatches 2 --format csv >two.csv && weft train train.yaml --dry-run parallel.pipeline=2 parallel.schedule=two.csv
