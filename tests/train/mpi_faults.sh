#!/bin/sh
# Under mpirun: a worker that dies, or stops answering, ends the whole run within the timeout, non-zero, and the message
# of a stall names who waited for what: a message, a gather of weights, a sum of gradients or an exchange in the middle of
# a pass, and its peer.
command -v mpirun > /dev/null 2>&1 || exit 77
. "$(dirname "$0")/common.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1

start() { # NAME ARGUMENTS...: a long run of two processes; sets $launcher and $victim, the process of rank 1
    name=$1
    shift
    timeout -k 5 40 mpirun -n 2 "$weft" train "$work/run.yaml" run.folder="$work/$name" transport=mpi run.steps=100000 timeout=3 \
        checkpoint.every=0 "$@" > "$work/$name.log" 2>&1 &
    launcher=$!
    tries=0
    until [ -s "$work/$name/metrics.jsonl" ]; do
        sleep 0.1
        tries=$((tries + 1))
        [ $tries -lt 200 ] || die "$name: the run does not start"
    done
    victim=
    for process in $(pgrep -f "run.folder=$work/$name transport=mpi"); do
        grep -qz '^OMPI_COMM_WORLD_RANK=1$' "/proc/$process/environ" 2> /dev/null && victim=$process
    done
    [ -n "$victim" ] || die "$name: rank 1 not found"
}

finish() { # the launcher must end by itself, with a failure
    wait $launcher
    status=$?
    kill -KILL "$victim" 2> /dev/null
    [ $status -ne 0 ] || die "$name: the run ended with status 0"
    [ $status -ne 124 ] || die "$name: the run hung"
}

# Most of a step waits in what is asked for, but a signal may meet any part of it: then again.
fault() { # NAME SIGNAL MESSAGE ARGUMENTS...
    what=$1 signal=$2 message=$3
    shift 3
    for attempt in 1 2 3 4; do
        start "$signal-$passed-$attempt" "$@"
        kill -"$signal" "$victim"
        finish
        grep -Eq "rank 0, step [0-9]+: $message" "$work/$name.log" && { ok "$what"; return; }
    done
    die "$what: no message says '$message'"
}

asked='asked to stop while waiting for'
stalled='nothing moved for [0-9]+ s while waiting for'
gathers='parallel.data=2 parallel.shard=weights parallel.schedule=1f1b parallel.loops=2 parallel.buffers=1 batch.microbatches=32'
reductions='parallel.data=2 parallel.shard=gradients parallel.reduce=early parallel.schedule=1f1b parallel.loops=2 parallel.buffers=1
            batch.microbatches=32'
tensors='parallel.tensor=2 batch.microbatches=32'
exchange='0[FB][0-9]+ \(a (gather of rows|sum of parts)'

fault "a killed worker ends the run" KILL "$asked .* (with rank 1|of all ranks)" parallel.pipeline=2
fault "a stopped worker ends the run and is named" STOP "$stalled .* rank 1" parallel.pipeline=2
# shellcheck disable=SC2086 # lists of words
{
    fault "a worker stopped in a gather" STOP "$stalled [01]UNSHARD[0-9]* with rank 1; rank 1: no answer" $gathers
    fault "a worker killed in a reduction" KILL "$asked [01]REDUCE_GRAD[0-9]* with rank 1" $reductions
    fault "a worker stopped in a pass" STOP "$stalled $exchange with rank 1\); rank 1: no answer" $tensors
    fault "a worker killed in a pass" KILL "$asked $exchange with rank 1\)" $tensors
}

mpirun -n 3 "$weft" train "$work/run.yaml" run.folder="$work/three" transport=mpi parallel.pipeline=2 > "$work/three.log" 2>&1
[ $? -eq 2 ] || die "three processes for two workers: not status 2"
grep -q '2 workers, but the launcher started 3 processes' "$work/three.log" || die "three processes: unclear message"
ok "a wrong number of processes"
