weft config good.yaml model.layers=many
