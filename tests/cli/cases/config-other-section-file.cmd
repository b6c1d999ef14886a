printf "data: {path: x}\nmodel:\n  sequences: 4\n" >near.yaml; weft config near.yaml
