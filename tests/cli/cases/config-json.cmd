weft config good.yaml --json parallel.pipeline=2 | python3 -m json.tool >/dev/null && weft config good.yaml --json | sed -n 1,3p
