weft plan train.yaml plan/two.yaml --measure out.yaml
