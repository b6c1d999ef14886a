weft sweep train.yaml microbatch=1,2,3 batch.sequences=4; status=$?; test ! -e run || echo written; exit $status
