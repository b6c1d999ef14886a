#!/bin/sh
# examples.sh WEFT ROOT: every configuration of examples/ that trains plans well, on a corpus as it asks for.
set -eu
weft=$(realpath "$1") root=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$root"/examples/* "$work"
cd "$work"
yes "$root/tests/cli/files/corpus.txt" | head -n 800 | xargs cat >kjv.txt
mkdir -p build/demo
cp kjv.txt build/demo
"$weft" tokenize --tokenizer "$root/tests/tokenizer/files/gpt2.json" --out corpus kjv.txt >/dev/null
"$weft" train custom.yaml device=reference run.steps=1 run.folder=tiny model.vocabulary=512 model.architecture=llama >out 2>&1 || { cat out; exit 1; }
"$weft" export tiny --to SmolLM2-135M
cp "$root/tests/tokenizer/files/gpt2.json" SmolLM2-135M/tokenizer.json
count=0
for file in *.yaml; do
    grep -Eq '^model:|^  start:' "$file" || continue # a model or a cluster for weft plan
    "$weft" train "$file" device=reference --dry-run >out 2>&1 || { echo "$file:"; cat out; exit 1; }
    grep -q ' actions, verified$' out || { echo "$file: not verified"; cat out; exit 1; }
    count=$((count + 1))
done
echo "$count examples"
[ "$count" -ge 4 ]
