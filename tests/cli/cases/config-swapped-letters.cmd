weft config good.yaml model.wdith=64
