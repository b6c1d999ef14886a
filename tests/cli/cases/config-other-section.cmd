weft config good.yaml training.learning_rate=0.1
