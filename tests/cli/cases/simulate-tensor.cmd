weft simulate breadth-first --pipeline 2 --loops 2 --microbatches 4 --tensor 2 --data 2 --reduce-tensor 0.5 --reduce 1 --exchange 0.25
weft simulate breadth-first --pipeline 2 --microbatches 4 --tensor 2 --exchange 0.25 --json
weft verify breadth-first --pipeline 2 --microbatches 4 --tensor 2
