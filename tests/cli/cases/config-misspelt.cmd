weft config misspelt.yaml
