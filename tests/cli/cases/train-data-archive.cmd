gzip corpus.txt; weft train train.yaml data.path=corpus.txt.gz; status=$?; test ! -e run || echo written; exit $status
