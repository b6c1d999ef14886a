weft train train.yaml model.vocabulary=50
