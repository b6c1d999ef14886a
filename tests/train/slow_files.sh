#!/bin/sh
# slow_files.sh WEFT SHIM TRANSPORT: on a disk whose syncs take longer than the timeout (SHIM, slow_files.c), a rank that
# writes is no lost rank; under mpirun (MPIRUN names another) one that is stopped or killed in the middle of it is.
shim=$(realpath "$2") transport=$3
. "$(dirname "$0")/common.sh"
mpirun=${MPIRUN:-mpirun}
[ "$transport" = local ] || command -v "$mpirun" > /dev/null 2>&1 || exit 77
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
export ASAN_OPTIONS

run() { # NAME ARGUMENTS...: a short run of two workers on that disk
    name=$1
    shift
    launcher=
    [ "$transport" = local ] || launcher="$mpirun -n 2"
    # shellcheck disable=SC2086 # two words, or none
    timeout -k 5 150 $launcher env LD_PRELOAD="$shim" "$weft" train "$work/run.yaml" run.folder="$work/$name" \
        transport="$transport" run.steps=3 run.timelines=1 "$@" > "$work/$name.log" 2>&1
}

"$weft" train "$work/run.yaml" run.folder="$work/fast" run.steps=3 parallel.pipeline=2 > "$work/fast.log" 2>&1 ||
    die "a run on a fast disk"

slow() { # NAME RANK PATH ARGUMENTS...: that rank is slow where PATH is part of the path; SLOW_RANK: none for threads
    export SLOW_SECONDS=2 SLOW_RANK="$2" SLOW_PATH="$3" SLOW_MARK="$work/slow-$1"
    [ "$transport" = mpi ] || unset SLOW_RANK
    name=$1
    shift 3
    run "$name" timeout=1 "$@" || die "$name: a rank at work was taken for lost"
    [ -e "$SLOW_MARK" ] || die "$name: nothing was slow"
    ok "$transport: $name"
}

slow "rank-0-saves" 0 /step- parallel.pipeline=2
"$weft" compare "$work/fast" "$work/rank-0-saves" > "$work/compare.log" 2>&1 || die "other bits on a slow disk"
[ "$transport" = mpi ] || exit 0
slow "rank-1-saves" 1 /step- parallel.pipeline=2
slow "one-of-two-pipelines-saves" 0 /step- parallel.data=2
slow "rank-0-draws" 0 /timeline parallel.data=2 checkpoint.every=0

find_victim() { # sets $victim, the process of rank 1 of run $1
    victim=
    for process in $(pgrep -f "train $work/run.yaml run.folder=$work/$1 "); do
        [ "$(cat "/proc/$process/comm" 2> /dev/null)" = "$(basename "$weft")" ] || continue
        grep -qzE '^(OMPI_COMM_WORLD_RANK|PMI_RANK)=1$' "/proc/$process/environ" 2> /dev/null && victim=$process
    done
    [ -n "$victim" ] || die "$1: rank 1 not found"
}

lose() { # SIGNAL MESSAGE: rank 1 is lost in the middle of a write that would take two minutes
    export SLOW_SECONDS=120 SLOW_RANK=1 SLOW_PATH=/step- SLOW_MARK="$work/mark-$1"
    run "lost-$1" parallel.pipeline=2 timeout=1 &
    launched=$!
    tries=0
    until [ -e "$SLOW_MARK" ]; do
        sleep 0.1
        tries=$((tries + 1))
        [ $tries -lt 600 ] || die "rank 1 never writes"
    done
    find_victim "lost-$1"
    kill -"$1" "$victim"
    wait $launched
    status=$?
    kill -KILL "$victim" 2> /dev/null
    [ $status -ne 0 ] || die "SIG$1: the run ended with status 0"
    [ $status -ne 124 ] || die "SIG$1: the run hung"
    grep -q "$2" "$work/lost-$1.log" || die "SIG$1: the message does not say '$2'"
    ok "rank 1 is lost while it writes: SIG$1"
}

lose STOP 'nothing moved for 1 s while waiting for the .* checkpoint of all ranks; rank 1: no answer'
lose KILL .
