#!/bin/sh
# On four stages over two workers, with the model of the demo, the step time that costs of earlier steps predict is within
# 5 % of the measured median of all steps: as threads, and as MPI processes where there is MPI. The middle of five attempts
# counts, for a machine that does something else meanwhile changes under the run's feet.
. "$(dirname "$0")/common.sh"

model="model.width=128 model.context=128 model.feed_forward=0 batch.microbatches=8 batch.sequences=2 parallel.pipeline=2
       parallel.loops=2 parallel.stages=[1,1,1,1] run.evaluate_batches=1 checkpoint.every=0 run.steps=200"

value() { # FILE KEY: of an object on one or more lines
    sed -n "s/.*\"$2\": \([-0-9.e+]*\).*/\1/p" "$1" | head -n 1
}

attempt() { # NAME LAUNCHER...: prints the difference in percent
    name=$1
    shift
    rm -rf "${work:?}/$name"
    # shellcheck disable=SC2086 # a list of words
    "$@" "$weft" train "$work/run.yaml" $model run.folder="$work/$name" transport="$transport" --json \
        > "$work/$name.json" 2> "$work/$name.log" || die "$name: the run"
    "$weft" timeline "$work/$name" --json > "$work/$name.timeline" 2> "$work/$name.log" || die "$name: weft timeline"
    predicted=$(sed -n 's/.*"predicted": {"step_time": \([-0-9.e+]*\).*/\1/p' "$work/$name.timeline")
    awk -v p="$predicted" -v m="$(value "$work/$name.json" median_step_seconds)" \
        'BEGIN { printf "%.2f predicted %.2f ms, median %.2f ms\n", 100 * (p / m - 1), 1e3 * p, 1e3 * m }'
}

check() { # NAME LAUNCHER...
    : > "$work/$1.differences"
    for i in 1 2 3 4 5; do attempt "$@" >> "$work/$1.differences" || exit 1; done
    middle=$(sort -n "$work/$1.differences" | sed -n 3p)
    cat "$work/$1.differences"
    awk -v d="${middle%% *}" 'BEGIN { exit !(d >= -5 && d <= 5) }' || die "$1: the middle difference is $middle"
    ok "$1: $middle"
}

transport=local
check local
if command -v mpirun > /dev/null 2>&1; then
    transport=mpi
    check mpi "$(dirname "$0")/../transport/run_mpi.sh" 2
fi
