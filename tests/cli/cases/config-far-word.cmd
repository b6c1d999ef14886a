weft config good.yaml epochs=3
