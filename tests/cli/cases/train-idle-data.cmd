weft train train.yaml parallel.pipeline=4 parallel.data=2 --dry-run --json | grep -o "\"notes\": .*\]"
