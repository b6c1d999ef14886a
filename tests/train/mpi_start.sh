#!/bin/sh
# Under mpirun of Open MPI or MPICH: who is started, alone or with others; processes that never come; and what users see
# of a run that cannot start: one message, and nothing about an abort behind it. Nothing that is launched outlives the test.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/launch.sh"

# Sets $status; 124 when it hung.
run() { # NAME PROCESSES PROGRAM ARGUMENTS...
    launch "$@"
    await_launcher
}

# refused NAME STATUS MESSAGE: how the run ended, and that it says so once
refused() {
    [ $status -eq "$2" ] || die "$1: status $status, not $2"
    [ "$(grep -Ec "^weft[a-z ]*: .*$3" "$work/$name.log")" -eq 1 ] || die "$1: it does not say '$3' once"
    ! grep -qi 'MPI_Abort' "$work/$name.log" || die "$1: a page about MPI_Abort"
    ok "$1"
}

run one 1 "$weft" run.steps=2 parallel.pipeline=2
[ $status -eq 0 ] && grep -q 'on 2 workers' "$work/one.log" || die "one process for two workers of transport mpi: $status"
run local 1 "$weft" run.steps=2 parallel.pipeline=2 transport=local
[ $status -eq 0 ] && grep -q 'on 2 workers' "$work/local.log" || die "one process for two threads: $status"
"$weft" compare "$work/one" "$work/local" > "$work/compare.log" || die "other bits in a process that a launcher started"
ok "a world of one process runs workers as threads"

run several 2 "$weft" run.steps=2 parallel.pipeline=2 transport=local
[ $status -eq 2 ] && grep -q 'a launcher started 2 processes .*: add transport=mpi' "$work/several.log" ||
    die "two processes of transport local: $status"
[ ! -e "$work/several" ] || die "two processes of transport local write a run"
ok "two processes of transport local are refused"

run three 3 "$weft" parallel.pipeline=2
refused "a wrong number of processes" 2 '2 workers, but the launcher started 3 processes'
run missing 2 "$weft" parallel.pipeline=2 data.path="$work/nothing"
refused "what all processes find out" 2 'data.path: .*/nothing: no such file or folder'
run unwritable 2 "$weft" parallel.pipeline=2 run.folder="$work/corpus.txt/run"
refused "what one process finds out, while the others run" 1 'corpus.txt'

# each NUMBER COMMAND: a program that is weft, but in that process
each() {
    printf '#!/bin/sh\ncase ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} in %s) exec %s ;; esac\nexec "%s" "$@"\n' "$1" "$2" "$weft"
}
each 1 "\"$weft\" \"\$@\" data.path=nothing" > "$work/other.sh"
each 1 'sleep 60' > "$work/late.sh"
each 1 "\"$weft\" \"\$@\" parallel.placement=0,1,0" > "$work/places.sh"
chmod +x "$work/other.sh" "$work/late.sh" "$work/places.sh"

run other 2 "$work/other.sh" parallel.pipeline=2
[ $status -eq 2 ] && grep -q '^weft train: .*data.path: nothing' "$work/other.log" || die "a process that fails alone: $status"
ok "a process that fails alone ends the others"

run places 2 "$work/places.sh" parallel.pipeline=2 parallel.loops=1
refused "a process with other stages" 2 'rank 1 has other stages than rank 0'
each 1 "\"$weft\" \"\$@\" parallel.placement=0,1,0,1" > "$work/stages.sh"
each 1 "\"$weft\" \"\$@\" parallel.pipeline=1 parallel.data=2" > "$work/groups.sh"
chmod +x "$work/stages.sh" "$work/groups.sh"
run stages 2 "$work/stages.sh" parallel.pipeline=2 parallel.loops=1
refused "a process with other stages, in the same groups" 2 'rank 1 has other stages than rank 0: '
run groups 2 "$work/groups.sh" parallel.pipeline=2 parallel.loops=1
refused "a process in other groups" 2 'rank 1 has other stages than rank 0, or other groups'
run chosen 2 "$weft" run.steps=1 run.evaluate_batches=1 parallel.pipeline=2 parallel.placement=auto model.vocabulary=1024
[ $status -eq 0 ] && [ "$(grep -c 'note: parallel.placement: auto takes' "$work/chosen.log")" -eq 1 ] ||
    die "processes that choose their stages: $status"
ok "each process chooses the same stages"

run late 2 "$work/late.sh" parallel.pipeline=2 timeout=2
refused "a process that never comes" 1 'not all processes that the launcher started have come within the timeout'
