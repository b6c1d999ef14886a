#!/bin/sh
# Under mpirun: a worker that dies, or stops answering, ends the whole run within the timeout, non-zero, and the message
# of a stall names who waited for what.
command -v mpirun > /dev/null 2>&1 || exit 77
. "$(dirname "$0")/common.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1

start() { # NAME: a long run of two processes; sets $launcher and $victim, the process of rank 1
    timeout -k 5 40 mpirun -n 2 "$weft" train "$work/run.yaml" run.folder="$work/$1" transport=mpi parallel.pipeline=2 run.steps=100000 \
        timeout=4 > "$work/$1.log" 2>&1 &
    launcher=$!
    tries=0
    until [ -s "$work/$1/metrics.jsonl" ]; do
        sleep 0.1
        tries=$((tries + 1))
        [ $tries -lt 200 ] || die "$1: the run does not start"
    done
    victim=
    for process in $(pgrep -f "run.folder=$work/$1 transport=mpi"); do
        grep -qz '^OMPI_COMM_WORLD_RANK=1$' "/proc/$process/environ" 2> /dev/null && victim=$process
    done
    [ -n "$victim" ] || die "$1: rank 1 not found"
}

finish() { # NAME: the launcher must end by itself, with a failure
    wait $launcher
    status=$?
    [ $status -ne 0 ] || die "$1: the run ended with status 0"
    [ $status -ne 124 ] || die "$1: the run hung"
}

start killed
kill -KILL "$victim"
finish killed
grep -Eq 'rank 0, step [0-9]+: asked to stop while waiting for .* (with rank 1|of all ranks)' "$work/killed.log" ||
    die "killed: the message does not name who waited for what"
ok "a killed worker ends the run"

start stopped
kill -STOP "$victim"
finish stopped
kill -KILL "$victim" 2> /dev/null
grep -Eq 'rank 0, step [0-9]+: nothing moved for [0-9]+ s while waiting for .* rank 1' "$work/stopped.log" ||
    die "stopped: the message does not name who waited for what"
ok "a stopped worker ends the run and is named"

mpirun -n 3 "$weft" train "$work/run.yaml" run.folder="$work/three" transport=mpi parallel.pipeline=2 > "$work/three.log" 2>&1
[ $? -eq 2 ] || die "three processes for two workers: not status 2"
grep -q '2 workers, but the launcher started 3 processes' "$work/three.log" || die "three processes: unclear message"
ok "a wrong number of processes"
