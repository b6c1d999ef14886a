weft train auto.yaml --dry-run parallel.schedule=two.csv
