weft config good.yaml --json parallel.pipeline=2 | python3 -m json.tool >/dev/null && weft config good.yaml --json | head -3
