weft sweep train.yaml microbatch=1,3 batch.sequences=4 parallel.data=2; status=$?; test ! -e run || echo written; exit $status
