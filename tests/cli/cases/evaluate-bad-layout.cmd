weft train train.yaml >log && weft evaluate run/train data.path=corpus.txt parallel.tensor=3
