weft train misspelt.yaml
