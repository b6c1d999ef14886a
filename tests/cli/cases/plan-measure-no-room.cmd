{ cat auto.yaml; echo 'memory_limit: 100KiB'; } >small.yaml && weft plan small.yaml --measure out.yaml
