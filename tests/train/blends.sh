#!/bin/sh
# Blends, documents and masks: the same bits in every layout, and when a run is resumed in another one; so are the losses of
# each source, and what is trained besides the cross entropy. Usage: blends.sh WEFT [mpi]
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

launcher=
run() { # NAME ARGUMENTS...
    name=$1
    shift
    timeout 120 $launcher "$weft" train "$work/run.yaml" "$sources" run.steps=6 optimizer.decay=constant data.end_of_text=10 \
        run.folder="$work/$name" "$@" > "$work/$name.log" 2>&1 || die "$name: $(tail -n 1 "$work/$name.log")"
}

# The step's losses, all together and by source, each number as it is written.
by_source() { # NAME
    sed -n 's/.*\("step":[0-9]*,"loss":.*"loss_by_source":{[^}]*}\).*/\1/p' "$work/$1/metrics.jsonl" > "$work/$1.losses"
    [ -s "$work/$1.losses" ] || die "$1 has no losses by source"
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
            by_source "$base"
            by_source "$base-$layout"
            cmp -s "$work/$base.losses" "$work/$base-$layout.losses" || die "$base-$layout: other losses by source"
        done
        run "$base-none" "$@" data.documents=none
        "$weft" compare "$work/$base" "$work/$base-none" > /dev/null && die "$base: documents make no difference"
    done
done
ok "blends, their losses by source and documents have the same bits in every layout"

# What tensor-parallel workers divide adds up in another order, so losses are near and not equal.
run tensor data.documents=mask_and_reset model.architecture=llama device=reference parallel.tensor=2
loss() { sed -n 's/.*"step":6,"loss":\([0-9.]*\).*/\1/p' "$work/$1/metrics.jsonl" | head -n 1; }
awk -v a="$(loss tensor)" -v b="$(loss mask_and_reset-llama)" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 1e-8) }' ||
    die "tensor parallelism: loss $(loss tensor) instead of $(loss mask_and_reset-llama)"
ok "tensor-parallel workers see documents apart"

# The first step again, with the sequences of one source alone: with one sequence in a micro-batch its sums are theirs.
two() { # NAME WEIGHT WEIGHT ARGUMENTS...
    name=$1 sources="data.sources=[{path: $work/some, weight: $2}, {path: $work/lines.txt, weight: $3}]"
    shift 3
    run "$name" device=reference batch.sequences=1 run.steps=1 data.documents=mask model.position=rotary "$@"
}
value() { # NAME PATH: loss of the source in the first step
    sed -n "1s|.*\"$2\":\([^,}]*\).*|\1|p" "$work/$1/metrics.jsonl"
}
total() { sed -n '1s/.*"loss":\([^,]*\),.*/\1/p' "$work/$1/metrics.jsonl"; }
two both 1 3 batch.microbatches=8
two wide 1 3 batch.microbatches=2 parallel.data=4
two one 1 0 batch.microbatches=2
two other 0 1 batch.microbatches=6
[ "$(value one "$work/lines.txt")$(value other "$work/some")" = nullnull ] || die "a source of no sequences has a loss"
for at in one:some other:lines.txt; do
    [ "$(value both "$work/${at#*:}")" = "$(total "${at%:*}")" ] ||
        die "$at: $(value both "$work/${at#*:}") instead of $(total "${at%:*}")"
done
by_source both
by_source wide
head -n 1 "$work/wide.losses" | cmp -s - "$work/both.losses" || die "four data-parallel workers have other losses by source"
ok "a source's loss is that of its sequences alone"

# What is trained besides the cross entropy, which the held-out loss stays.
sources="data.sources=[{path: $work/some, weight: 0.3}, {path: $work/lines.txt, weight: 1.7}]"
plain() { sed -n "$2s/.*\"$3\":\([^,]*\),.*/\1/p" "$work/$1/metrics.jsonl"; }
set -- device=reference loss.z=0.01 loss.label_smoothing=0.1
run none device=reference
run more "$@"
run more-p "$@" parallel.pipeline=2 parallel.loops=2 recompute=full
run more-s "$@" parallel.pipeline=2 parallel.schedule=zb-h1 run.steps=3
run more-s "$@" --resume
run more-t "$@" parallel.tensor=2
layouts="p s"
if [ "${2:-local}" = mpi ]; then
    launcher="mpirun -n 2" layouts="p s m"
    run more-m "$@" parallel.pipeline=2 transport=mpi
    launcher=
fi
for layout in $layouts; do
    "$weft" compare "$work/more" "$work/more-$layout" > "$work/difference" || die "more-$layout: $(cat "$work/difference")"
    by_source more
    by_source "more-$layout"
    cmp -s "$work/more.losses" "$work/more-$layout.losses" || die "more-$layout: other losses"
done
[ "$(plain more 1 cross_entropy)" = "$(plain none 1 loss)" ] || die "the cross entropy is $(plain more 1 cross_entropy)"
[ -z "$(plain none 1 cross_entropy)" ] || die "a run of nothing but the cross entropy tells it twice"
awk -v a="$(plain more 6 loss)" -v b="$(plain more-t 6 loss)" -v c="$(plain more 6 cross_entropy)" \
    'BEGIN { exit !(a > c + 0.01 && (a - b) ^ 2 < 1e-8) }' || die "tensor parallelism: $(plain more-t 6 loss)"
held_out() { sed -n 's/.*"evaluation":true.*"loss":\([^,]*\),.*/\1/p' "$work/$1/metrics.jsonl"; }
"$weft" evaluate "$work/more" > "$work/evaluated" 2>&1 || die "$(cat "$work/evaluated")"
grep -q "$(printf '%.6f' "$(held_out more)")" "$work/evaluated" || die "held out $(held_out more): $(cat "$work/evaluated")"
ok "z-loss and label smoothing have the same bits in every layout, and the held-out loss is without them"
run more-s "$@" loss.z=0.02 run.steps=7 --resume
grep -q 'note: loss.z is 0.02, the checkpoint was trained with 0.01' "$work/more-s.log" || die "a resumed run trains something else unsaid"
ok "what else is trained from a checkpoint on is said"
