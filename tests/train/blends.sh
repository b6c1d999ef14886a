#!/bin/sh
# Blends, documents and masks: the same bits in every layout, and when a run is resumed in another one.
. "$(dirname "$0")/common.sh"

# Documents of a few lines each, in a folder and behind a token that ends them.
mkdir "$work/some"
i=0
while [ $i -lt 40 ]; do
    head -c $((900 * i + 700)) "$work/corpus.txt" | tail -c $((37 * i + 90)) > "$work/some/$i.txt"
    i=$((i + 1))
done
head -c 30000 "$work/corpus.txt" > "$work/lines.txt"
sources="data.sources=[{path: $work/some, weight: 0.3}, {path: $work/lines.txt, weight: 1.7}]"

run() { # NAME ARGUMENTS...
    name=$1
    shift
    timeout 120 "$weft" train "$work/run.yaml" "$sources" run.steps=6 optimizer.decay=constant data.end_of_text=10 \
        run.folder="$work/$name" "$@" > "$work/$name.log" 2>&1 || die "$name: $(tail -n 1 "$work/$name.log")"
}

for documents in mask mask_and_reset; do
    for model in gpt2 llama; do
        set -- data.documents=$documents model.architecture=$model device=reference
        base=$documents-$model
        run "$base" "$@"
        run "$base-p" "$@" parallel.pipeline=2 parallel.loops=2
        run "$base-s" "$@" parallel.pipeline=2 parallel.schedule=zb-h1 recompute=full
        run "$base-r" "$@" parallel.pipeline=2 parallel.schedule=1f1b run.steps=3
        run "$base-r" "$@" --resume
        for layout in p s r; do
            "$weft" compare "$work/$base" "$work/$base-$layout" > "$work/difference" ||
                die "$base-$layout: $(cat "$work/difference")"
        done
        run "$base-none" "$@" data.documents=none
        "$weft" compare "$work/$base" "$work/$base-none" > /dev/null && die "$base: documents make no difference"
    done
done
ok "blends and documents have the same bits in every layout"

# What tensor-parallel workers divide adds up in another order, so losses are near and not equal.
run tensor data.documents=mask_and_reset model.architecture=llama device=reference parallel.tensor=2
loss() { sed -n 's/.*"step":6,"loss":\([0-9.]*\).*/\1/p' "$work/$1/metrics.jsonl" | head -n 1; }
awk -v a="$(loss tensor)" -v b="$(loss mask_and_reset-llama)" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 1e-8) }' ||
    die "tensor parallelism: loss $(loss tensor) instead of $(loss mask_and_reset-llama)"
ok "tensor-parallel workers see documents apart"
