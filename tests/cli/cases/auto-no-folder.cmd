weft train auto.yaml --dry-run parallel.cluster=none/here.yaml
