mkdir folder; weft train train.yaml data.path=folder; status=$?; test ! -e run || echo written; exit $status
