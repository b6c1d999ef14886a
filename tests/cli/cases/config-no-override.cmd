weft config good.yaml stray
