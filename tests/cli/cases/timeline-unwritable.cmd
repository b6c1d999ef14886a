weft timeline measured --costs-out nowhere/c.yaml
