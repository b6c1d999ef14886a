weft schedule 1f1b --pipeline 2 --microbatches 2 --format csv >two.csv && weft sweep train.yaml microbatch=1,2 parallel.pipeline=2 parallel.schedule=two.csv
