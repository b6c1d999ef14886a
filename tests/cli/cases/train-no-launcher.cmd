weft train train.yaml transport=mpi parallel.pipeline=2; status=$?; test ! -e run || echo written; exit $status
