#!/bin/sh
# Under mpirun of Open MPI or MPICH: a worker that dies, or stops answering, ends the whole run within the timeout,
# non-zero, and the message of a stall names who waited for what: a message, a gather of weights, a sum of gradients or an
# exchange in the middle of a pass, and its peer.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/launch.sh"

find_victim() { # sets $victim, the process of rank 1
    victim=
    for process in $(pgrep -f "run.folder=$work/$name transport=mpi"); do
        grep -Eqz '^(OMPI_COMM_WORLD|PMI)_RANK=1$' "/proc/$process/environ" 2> /dev/null && victim=$process
    done
    [ -n "$victim" ] || die "$name: rank 1 not found"
}

start() { # NAME ARGUMENTS...: a long run of two processes; sets $launcher and $victim
    name=$1
    shift
    launch "$name" 2 "$weft" timeout=3 run.steps=100000 "$@"
    tries=0
    until [ -s "$work/$name/metrics.jsonl" ]; do
        sleep 0.1
        tries=$((tries + 1))
        [ $tries -lt 200 ] || die "$name: the run does not start"
    done
    find_victim
}

finish() { # the launcher must end by itself, with a failure
    await_launcher
    kill -KILL "$victim" 2> /dev/null
    [ $status -ne 0 ] || die "$name: the run ended with status 0"
    [ $status -ne 124 ] || die "$name: the run hung"
}

# Most of a step waits in what is asked for, but a signal may meet any part of it: then again. When a worker dies, Open
# MPI's mpirun asks the others to stop, and they tell what they wait for; MPICH's kills them at once.
fault() { # NAME SIGNAL MESSAGE ARGUMENTS...
    what=$1 signal=$2 message=$3
    shift 3
    for attempt in 1 2 3 4; do
        start "$signal-$passed-$attempt" "$@"
        kill -"$signal" "$victim"
        finish
        case $signal-$mpirun_options in KILL-) ok "$what, by the launcher" && return ;; esac
        grep -Eq "rank 0, step [0-9]+: $message" "$work/$name.log" && { ok "$what"; return; }
    done
    die "$what: no message says '$message'"
}

asked='asked to stop while waiting for'
stalled='nothing moved for [0-9]+ s while waiting for'
exchange='0[FB][0-9]+, a (gather of rows|sum of parts) with rank 1'
gathers='parallel.data=2 parallel.shard=weights parallel.schedule=1f1b parallel.loops=2 parallel.buffers=1 batch.microbatches=32'
reductions='parallel.data=2 parallel.shard=gradients parallel.reduce=early parallel.schedule=1f1b parallel.loops=2 parallel.buffers=1
            batch.microbatches=32'

fault "a killed worker ends the run" KILL "$asked .* (with rank 1|of all ranks)" parallel.pipeline=2
fault "a stopped worker ends the run and is named" STOP "$stalled .* rank 1" parallel.pipeline=2
fault "a worker killed in the middle of a pass" KILL "$asked $exchange" parallel.tensor=2
fault "a worker stopped in the middle of a pass" STOP \
    "$stalled $exchange; rank 1: no answer; rank 0: step [0-9]+, last finished [A-Z0-9]+, waits for $exchange" parallel.tensor=2
# shellcheck disable=SC2086 # lists of words
{
    fault "a worker stopped in a gather" STOP "$stalled [01]UNSHARD[0-9]* with rank 1; rank 1: no answer" $gathers
    fault "a worker killed in a reduction" KILL "$asked [01]REDUCE_GRAD[0-9]* with rank 1" $reductions
}
