#!/bin/sh
# SIGTERM and SIGINT finish the step, write a checkpoint and end with status 0; resumed, the bits are those of a whole run.
. "$(dirname "$0")/common.sh"

whole() { # NAME ARGUMENTS...
    name=$1
    shift
    "$weft" train "$work/run.yaml" run.folder="$work/$name" checkpoint.every=0 "$@" > "$work/$name.log" 2>&1 ||
        die "the uninterrupted run $name"
}

interrupt() { # SIGNAL WHOLE LAYOUT RESUMED-LAYOUT
    signal=$1 whole=$2 layout=$3 resumed=$4
    run=$work/$signal-$layout
    # A shell's background job ignores SIGINT; env -i does not undo that, a job of its own does.
    sh -c 'trap - INT; exec "$@"' sh "$weft" train "$work/run.yaml" run.folder="$run" checkpoint.every=0 run.steps=300 \
        "$layout" > "$run.log" 2>&1 &
    child=$!
    tries=0
    until [ -s "$run/metrics.jsonl" ] || [ $tries -gt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -"$signal" $child
    wait $child
    status=$?
    [ $status -eq 0 ] || die "SIG$signal ended the run with status $status"
    ls -d "$run"/step-* > /dev/null 2>&1 || die "SIG$signal left no checkpoint"
    "$weft" train "$work/run.yaml" run.folder="$run" checkpoint.every=0 "$resumed" --resume > "$run-resumed.log" 2>&1 ||
        die "resuming after SIG$signal"
    "$weft" compare "$work/$whole" "$run" > "$work/compare.log" 2>&1 || die "other bits after SIG$signal"
    ok "SIG$signal, $layout"
}

whole one
whole tensor parallel.tensor=2
for signal in TERM INT; do interrupt $signal one parallel.pipeline=2 parallel.pipeline=1; done
interrupt INT tensor parallel.tensor=2 parallel.tensor=2
