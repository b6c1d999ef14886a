weft config good.yaml model_layers=2
