name=$(printf 'a/\033[31mred'); mkdir -p "$name" && cp curves/one.jsonl "$name/metrics.jsonl" && LC_ALL=C weft metrics "$name" curves/warp/ | tail -n 3
