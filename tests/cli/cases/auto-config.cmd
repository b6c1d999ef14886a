weft config auto.yaml recompute=full parallel.tensor=2 2>&1 | grep -e '# plan' -e auto: -e tensor: -e recompute
