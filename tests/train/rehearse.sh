#!/bin/sh
# weft rehearse by hand: kinds, files and configurations, both transports, and what a signal leaves. No times are judged.
. "$(dirname "$0")/common.sh"
costs="--unit us --forward 300 --backward-input 200 --backward-weight 100 --comm 50"

# figure KEY FILE: a number at the top level of an object
figure() {
    sed -n "s/^  \"$1\": \([^,]*\),\$/\1/p" "$2"
}

"$weft" rehearse breadth-first --pipeline 4 --loops 2 --microbatches 8 $costs --steps 3 --json --svg "$work/a.svg" \
    --html "$work/a.html" --trace "$work/a.json" > "$work/kind.log" || die "a kind"
[ "$(figure steps "$work/kind.log")" = 3 ] && [ "$(figure stopped "$work/kind.log")" = false ] || die "steps of a kind"
grep -q 'rehearsed, step' "$work/a.svg" && grep -q 'simulated' "$work/a.html" && grep -q traceEvents "$work/a.json" ||
    die "pictures"
step=$(sed -n 's/^  "rehearsed": {"step": \([0-9]*\), .*/\1/p' "$work/kind.log")
times=$(sed -n 's/^  "step_times": \[\(.*\)\]$/\1/p' "$work/kind.log" | tr -d ' ')
shown=$(sed -n 's/^  "rehearsed": .*"step_time": \([^,]*\), "bubble_fraction.*/\1/p' "$work/kind.log")
[ "$(echo "$times" | cut -d, -f"$step")" = "$shown" ] || die "times of another step than that shown"
[ "$(echo "$times" | tr , '\n' | sort -g | sed -n 2p)" = "$shown" ] || die "shows another step than that in the middle"
grep -q "rehearsed, step $step " "$work/a.svg" || die "a picture of another step"
simulated=$("$weft" simulate breadth-first --pipeline 4 --loops 2 --microbatches 8 $costs --json |
    sed -n 's/^  "actions": \([0-9]*\),$/\1/p')
[ "$(figure actions "$work/kind.log")" = "$simulated" ] || die "another program than simulate's"
ok "kind and pictures"

"$weft" schedule zb-h1 --pipeline 3 --microbatches 5 --format csv > "$work/zb.csv"
"$weft" rehearse "$work/zb.csv" $costs --update 100 --steps 2 > "$work/file.log" || die "a schedule file"
grep -q '^rehearsed  2 steps, transport local$' "$work/file.log" || die "text of a schedule file"
ok "schedule file"

# A configuration's own step: with the shared weight, the norm and the losses.
"$weft" rehearse "$work/run.yaml" parallel.pipeline=2 parallel.loops=2 $costs --reduce 100 --steps 2 --json \
    > "$work/yaml.log" || die "a configuration"
[ "$(figure steps "$work/yaml.log")" = 2 ] && [ ! -e run ] || die "a configuration leaves something behind"
ok "configuration"

"$weft" rehearse "$work/run.yaml" parallel.pipeline=2 parallel.loops=2 parallel.data=2 parallel.shard=weights \
    parallel.reduce=early parallel.buffers=1 $costs --gather 100 --reduce 200 --steps 2 --json > "$work/sharded.log" ||
    die "a sharded configuration"
[ "$(figure gathers "$work/sharded.log")" -gt 4 ] && [ "$(figure reductions "$work/sharded.log")" -ge 4 ] ||
    die "gathers and reductions of a sharded configuration"
ok "sharded configuration"

for signal in INT TERM; do
    env --default-signal=INT "$weft" rehearse 1f1b --pipeline 4 --microbatches 8 $costs --steps 1000 --json \
        > "$work/signal.log" 2> "$work/signal-errors.log" &
    child=$!
    sleep 0.5
    kill -$signal $child
    wait $child
    status=$?
    [ $status -eq 0 ] || die "SIG$signal ended the rehearsal with status $status"
    [ "$(figure stopped "$work/signal.log")" = true ] && [ "$(figure steps "$work/signal.log")" -ge 1 ] ||
        die "SIG$signal left no results"
done
ok "signals"

# What the program is, in a rehearsal's object; and its actions, lane by lane, in a trace with both timelines.
counts() {
    sed -n '/^  "schedule"/,/^  "reductions"/p' "$1"
}
actions() {
    sed -n 's/^{"ph":"X",\("pid":[0-9]*,"tid":[0-9]*,"name":"[^"]*"\).*/\1/p' "$1"
}
drawn() { # FILES ACTION KEY: the trace has each twice, simulated and rehearsed
    [ "$(actions "$1.json" | grep -c "$2")" -eq $((2 * $(figure "$3" "$1.log"))) ]
}

# rehearse_both NAME OPERAND...: two pipelines of two ranks, as threads and as processes, are one program.
rehearse_both() {
    name=$1
    shift
    "$weft" rehearse "$@" $costs --gather 100 --reduce 200 --steps 2 --json --trace "$work/threads.json" \
        > "$work/threads.log" || die "$name, as threads"
    "$(dirname "$0")/../transport/run_mpi.sh" 4 "$weft" rehearse "$@" $costs --gather 100 --reduce 200 --transport mpi \
        --steps 2 --json --trace "$work/processes.json" > "$work/processes.log" 2> "$work/processes-errors.log"
    status=$?
    [ $status -ne 77 ] || return 0
    [ $status -eq 0 ] || die "$name, as processes"
    [ "$(figure steps "$work/processes.log")" = 2 ] && grep -q '"transport": "mpi"' "$work/processes.log" || die "steps of $name"
    [ "$(figure gathers "$work/processes.log")" -gt 0 ] && [ "$(figure reductions "$work/processes.log")" -gt 0 ] ||
        die "$name: nothing is gathered or reduced"
    [ "$(counts "$work/threads.log")" = "$(counts "$work/processes.log")" ] || die "$name: other counts than those of threads"
    [ "$(actions "$work/threads.json")" = "$(actions "$work/processes.json")" ] || die "$name: other actions than those of threads"
    drawn "$work/processes" UNSHARD gathers && drawn "$work/processes" REDUCE_GRAD reductions ||
        die "$name: the trace has another number of gathers or reductions"
    ok "$name, as processes"
}

if [ "${2:-}" = mpi ]; then
    "$(dirname "$0")/../transport/run_mpi.sh" 4 "$weft" rehearse zb-v --pipeline 4 --microbatches 8 $costs \
        --transport mpi --steps 2 --json > "$work/mpi.log" 2>&1
    status=$?
    [ $status -eq 77 ] || { [ $status -eq 0 ] && [ "$(figure steps "$work/mpi.log")" = 2 ]; } || die "transport mpi"
    ok "transport mpi"
    "$(dirname "$0")/../transport/run_mpi.sh" 2 "$weft" rehearse "$work/run.yaml" parallel.pipeline=2 \
        parallel.placement=auto $costs --transport mpi --steps 1 > "$work/placed.log" 2>&1
    status=$?
    told=$(grep -c '^note: parallel.placement: auto' "$work/placed.log")
    [ $status -eq 77 ] || { [ $status -eq 0 ] && [ "$told" = 1 ]; } || die "$told processes say where stages are"
    ok "one process says where stages are"
    sizes="--pipeline 2 --loops 2 --microbatches 4 --data 2 --shard weights --buffers 1"
    rehearse_both "sharded breadth-first" breadth-first $sizes --reduce-early --update 100
    rehearse_both "sharded 1f1b" 1f1b $sizes
    rehearse_both "sharded configuration" "$work/run.yaml" parallel.pipeline=2 parallel.loops=2 parallel.data=2 \
        parallel.shard=weights parallel.buffers=1
fi
echo "$passed passed"
