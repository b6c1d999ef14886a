#!/bin/sh
# signals.sh WEFT SHIM: SIGTERM, SIGINT, SIGHUP and SIGUSR1 finish the step, write a checkpoint and end with status 0, also
# when they come twice at once; resumed, the bits are those of a whole run. A second after the first, another ends the run
# at once. SIGHUP and SIGINT that were ignored when the run started stay so. SHIM: slow_files.c.
shim=$(realpath "$2")
. "$(dirname "$0")/common.sh"

whole() { # NAME ARGUMENTS...
    name=$1
    shift
    "$weft" train "$work/run.yaml" run.folder="$work/$name" checkpoint.every=0 "$@" > "$work/$name.log" 2>&1 ||
        die "the uninterrupted run $name"
}

await() { # FILE: until it is there and not empty, or has been long awaited
    tries=0
    until [ -s "$1" ] || [ $tries -gt 1200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    [ -s "$1" ] || { kill -KILL $child; die "$1 does not come"; }
}

# A shell's background job ignores SIGINT, and what nohup starts SIGHUP, unless it is told not to.
start() { # RUN ARGUMENTS...: sets $child once a step is done
    run=$1
    shift
    env --default-signal=INT,HUP "$weft" train "$work/run.yaml" run.folder="$run" checkpoint.every=0 "$@" \
        > "$run.log" 2>&1 &
    child=$!
    await "$run/metrics.jsonl"
}

nothing_lost() { # RUN: the checkpoint is that of the last step
    steps=$(grep -c '^{"step"' "$1/metrics.jsonl")
    [ -d "$(printf '%s/step-%08d' "$1" "$steps")" ] || die "$1: $steps steps were done, and there are: $(ls "$1")"
    [ "$steps" -lt 300 ] || die "$1: ended before the signal came"
}

interrupt() { # SIGNAL TIMES WHOLE LAYOUT RESUMED-LAYOUT; twice: with another one, or the system could take them for one
    signal=$1 times=$2 whole=$3 layout=$4 resumed=$5
    start "$work/$signal-$times-$layout" run.steps=300 "$layout"
    kill -"$signal" $child
    [ "$times" = once ] || kill -TERM $child
    wait $child
    status=$?
    [ $status -eq 0 ] || die "SIG$signal $times ended the run with status $status"
    nothing_lost "$run"
    "$weft" train "$work/run.yaml" run.folder="$run" checkpoint.every=0 "$resumed" --resume > "$run-resumed.log" 2>&1 ||
        die "resuming after SIG$signal"
    "$weft" compare "$work/$whole" "$run" > "$work/compare.log" 2>&1 || die "other bits after SIG$signal"
    ok "SIG$signal $times, $layout"
}

whole one
whole tensor parallel.tensor=2
interrupt TERM once one parallel.pipeline=2 parallel.pipeline=1
interrupt INT twice one parallel.pipeline=2 parallel.pipeline=1
interrupt HUP once tensor parallel.tensor=2 parallel.tensor=2
interrupt USR1 twice one parallel.pipeline=1 parallel.pipeline=2

# timeout(1) signals the process, and then its group.
for round in 1 2 3; do
    run=$work/timeout-$round
    timeout 4 "$weft" train "$work/run.yaml" run.folder="$run" checkpoint.every=0 run.steps=100000 batch.microbatches=16 \
        batch.sequences=8 > "$run.log" 2>&1
    status=$?
    [ $status -eq 124 ] || die "timeout ended with status $status"
    nothing_lost "$run"
done
ok "timeout"

# In the middle of a save that takes its time.
run=$work/late
SLOW_SECONDS=300 SLOW_PATH=/step- SLOW_MARK=$work/mark LD_PRELOAD=$shim "$weft" train "$work/run.yaml" run.folder="$run" \
    run.steps=100000 checkpoint.every=2 > "$run.log" 2>&1 &
child=$!
await "$work/mark"
kill -TERM $child
sleep 1.5
kill -USR1 $child
wait $child
status=$?
[ $status -eq 138 ] || die "a second signal after more than a second: status $status"
ok "a second signal after more than a second"

run=$work/ignored
env --ignore-signal=HUP,INT "$weft" train "$work/run.yaml" run.folder="$run" checkpoint.every=0 > "$run.log" 2>&1 &
child=$!
await "$run/metrics.jsonl"
kill -HUP $child
kill -INT $child
wait $child || die "a run that ignores SIGHUP and SIGINT"
"$weft" compare "$work/one" "$run" > "$work/compare.log" 2>&1 || die "SIGHUP or SIGINT was not ignored"
ok "SIGHUP and SIGINT that are ignored at the start"
