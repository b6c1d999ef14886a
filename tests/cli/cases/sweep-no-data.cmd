weft sweep train.yaml microbatch=1,2 data.path=nothing.txt --svg a.svg; status=$?; test ! -e a.svg || echo written; exit $status
