weft train auto.yaml --dry-run parallel.stages=[2,3]
