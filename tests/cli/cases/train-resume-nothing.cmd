weft train train.yaml --resume >log && grep note: log; weft train train.yaml run.steps=4 --resume >log && grep note: log
