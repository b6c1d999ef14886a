weft sweep train.yaml microbatch=1,2 --steps 1 --warmup 0 --json 2>log | grep -o "\"[a-z_]*\":"; test ! -e run || echo written
