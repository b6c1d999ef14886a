#!/bin/sh
# parallel.placement: auto in runs: the bits of one worker, the same choice when it is resumed and when it is written out,
# and what is predicted is what weft simulate says of the list.
. "$(dirname "$0")/common.sh"

# A head worth more than two layers, so that it is a stage of its own.
model="model.layers=5 model.width=64 model.vocabulary=1024 model.feed_forward=128 model.context=16 run.steps=6 checkpoint.keep=0"
auto="parallel.pipeline=2 parallel.loops=2 parallel.placement=auto"
run() { # NAME ARGUMENTS...
    name=$1
    shift
    # shellcheck disable=SC2086 # a list of words
    "$weft" train "$work/run.yaml" $model run.folder="$work/$name" "$@" > "$work/$name.log" 2>&1 || die "$name"
}
same() { # A B
    [ "$("$weft" compare "$work/$1" "$work/$2")" = same ] || die "$1 and $2 differ"
}
field() { # KEY FILE: the first value of a key in JSON
    sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$2" | head -n 1
}
dry() { # NAME ARGUMENTS...: NAME.json
    name=$1
    shift
    # shellcheck disable=SC2086 # a list of words
    "$weft" train "$work/run.yaml" $model --dry-run --json "$@" > "$work/$name.json" 2> "$work/$name.log" || die "$name"
}

run one
# shellcheck disable=SC2086 # a list of words
run auto $auto
same one auto
grep -q 'note: parallel.placement: auto takes loop with 2 loops and the head' "$work/auto.log" || die "nothing is said"
grep -q 'placement: "0,1,0,1,0"' "$work/auto/step-00000006/checkpoint.yaml" || die "what was chosen is not written"
for layout in parallel.pipeline=2 parallel.pipeline=1 "parallel.schedule=1f1b parallel.loops=1"; do
    # shellcheck disable=SC2086 # a list of words
    "$weft" evaluate "$work/auto" $layout --json 2>> "$work/evaluate.log" | sed 's/"checkpoint": [^,]*,//' >> "$work/losses"
done
[ "$(wc -l < "$work/losses")" -eq 3 ] && [ "$(sort -u "$work/losses" | wc -l)" -eq 1 ] || die "evaluated otherwise"
# What is kept is written out, too: it does not stand in the way of another schedule.
# shellcheck disable=SC2086 # a list of words
run kept $auto parallel.schedule=1f1b parallel.loops=1
grep -q 'placement: "linear"' "$work/kept/step-00000006/checkpoint.yaml" || die "what was kept is not written"
for layout in parallel.schedule=breadth-first parallel.schedule=zb-v; do
    "$weft" evaluate "$work/kept" $layout parallel.loops=2 --json 2>> "$work/evaluate.log" |
        sed 's/"checkpoint": [^,]*,//' >> "$work/losses"
done
[ "$(wc -l < "$work/losses")" -eq 5 ] && [ "$(sort -u "$work/losses" | wc -l)" -eq 1 ] || die "kept and evaluated otherwise"
ok "the bits of one worker"

# shellcheck disable=SC2086 # a list of words
run half $auto run.steps=3 optimizer.decay=constant
run whole optimizer.decay=constant
# shellcheck disable=SC2086 # a list of words
run half $auto optimizer.decay=constant --resume
same whole half
grep -q 'note: parallel.placement: auto takes loop with 2 loops and the head' "$work/half.log" || die "resumed otherwise"
for placement in loop 0,1,1,0 0,1,0; do
    rm -rf "${work:?}/other"
    # shellcheck disable=SC2086 # a list of words
    run other $auto run.steps=3 optimizer.decay=constant
    run other parallel.pipeline=2 parallel.placement=$placement optimizer.decay=constant --resume
    same whole other
done
ok "resumed with auto, and on other placements"

# shellcheck disable=SC2086 # a list of words
dry auto $auto
dry list parallel.pipeline=2 parallel.placement=0,1,0,1,0
dry loop parallel.pipeline=2 parallel.loops=2
predicted=$(field predicted_efficiency "$work/auto.json")
[ "$predicted" = "$(field predicted_efficiency "$work/list.json")" ] || die "the written-out list is predicted otherwise"
awk -v a="$predicted" -v b="$(field predicted_efficiency "$work/loop.json")" 'BEGIN { exit !(a > b) }' || die "no gain"
ok "the written-out list"

# Flops of a layer and of the head, a token: 2 a weight of a product and direction, and causal attention of width C over T.
costs=$(tr '{' '\n' < "$work/auto.json" | sed -n 's/.*"stage": .*"layers": \([0-9]*\).*/\1/p' |
    awk -v C=64 -v F=128 -v V=1024 -v T=16 '
    { layers[NR - 1] = $1; sum += $1 }
    END {
        if (sum != 5) exit 1
        for (s = 0; s < NR; s++) {
            product = layers[s] * 2 * (4 * C * C + 2 * C * F); attention = layers[s] * 2 * T * C
            head = s == NR - 1 ? 2 * C * V : 0
            f = f sep product + attention + head; i = i sep product + 2 * attention + head; w = w sep product + head; sep = ","
        }
        print "--forward", f, "--backward-input", i, "--backward-weight", w
    }') || die "stages"
# shellcheck disable=SC2086 # a list of words
"$weft" simulate breadth-first --pipeline 2 --microbatches 4 --placement 0,1,0,1,0 $costs --json > "$work/simulated.json" ||
    die "simulate"
awk -v a="$predicted" -v b="$(field bubble_fraction "$work/simulated.json")" \
    'BEGIN { d = a - (1 - b); exit !(d < 2e-6 && d > -2e-6) }' || die "predicted $predicted, simulated otherwise"
ok "what weft simulate says"

echo "$passed passed"
