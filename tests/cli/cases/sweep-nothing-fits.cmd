weft sweep train.yaml microbatch=1,2 memory_limit=100KiB; status=$?; test ! -e run || echo written; exit $status
