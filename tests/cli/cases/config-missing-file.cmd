weft config nowhere.yaml
