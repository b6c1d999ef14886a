PMI_RANK=0 PMI_SIZE=2 weft train train.yaml parallel.pipeline=2; status=$?; test ! -e run || echo written; exit $status
