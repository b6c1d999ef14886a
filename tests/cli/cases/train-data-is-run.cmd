mkdir here; cp corpus.txt here; weft train train.yaml data.path=here run.folder=./here/
