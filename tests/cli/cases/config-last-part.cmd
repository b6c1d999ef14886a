weft config good.yaml lerning_rate=0.1
