weft train train.yaml data.path=nothing.txt; status=$?; test ! -e run || echo written; exit $status
