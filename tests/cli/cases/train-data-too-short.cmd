echo hello >short.txt; weft train train.yaml data.path=short.txt; status=$?; test ! -e run || echo written; exit $status
