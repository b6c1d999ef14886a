weft sweep train.yaml microbatch=1,2 --csv nowhere/a.csv
