: >empty.yaml; weft train empty.yaml
