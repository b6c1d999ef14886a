weft timeline measured --costs-out c.yaml >/dev/null && cat c.yaml && weft simulate zb-h1 --pipeline 2 --microbatches 8 --costs c.yaml
