weft plan train.yaml --measure out.yaml --top 3
