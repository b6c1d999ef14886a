weft train train.yaml data.path=nothing --dry-run; status=$?; test ! -e run || echo written; exit $status
