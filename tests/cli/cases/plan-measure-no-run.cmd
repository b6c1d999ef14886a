weft plan plan/model.yaml --measure out.yaml
