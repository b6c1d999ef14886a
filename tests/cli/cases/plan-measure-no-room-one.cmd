{ sed 's/layers: [0-9]*/layers: 1/' auto.yaml; echo 'memory_limit: 90KiB'; } >small.yaml && weft plan small.yaml --measure out.yaml
