#!/bin/sh
# pages.sh WEFT ROOT: the generated parts of docs/ are what weft writes today. If not: make docs.
set -eu
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$2/tools/make_docs.sh" "$1" "$2/docs" "$out"
count=$(find "$out/pictures" -name '*.svg' | wc -l)
[ "$count" -gt 10 ] || { echo "only $count pictures"; exit 1; }
for file in schedules.md search.md breadth-first.md; do diff "$2/docs/$file" "$out/$file" || { echo "run: make docs"; exit 1; }; done
diff -r "$2/docs/pictures" "$out/pictures" >/dev/null || { echo "pictures differ; run: make docs"; exit 1; }
