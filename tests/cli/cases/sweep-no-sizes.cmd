weft sweep train.yaml batch.sequences=8; status=$?; test ! -e run || echo written; exit $status
