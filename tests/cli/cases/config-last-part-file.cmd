printf "data: {path: x}\nlerning_rate: 0.1\n" >near.yaml; weft config near.yaml
