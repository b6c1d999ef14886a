weft config good.yaml run.steps=7 model.architecture=llama
