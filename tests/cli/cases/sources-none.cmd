weft config train.yaml data.path=
