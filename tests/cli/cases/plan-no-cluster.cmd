weft plan train.yaml
