#!/bin/sh
# kill_resume.sh WEFT TRANSPORT KILLS SIGNALS [STEPS [KEY=VALUE...]]: a run of so many steps (300) with these keys that is
# broken off so many times at random moments, by SIGKILL and by what asks it to stop (timeout, SIGTERM, SIGHUP, SIGUSR1),
# each time resumed in another layout. What asks loses nothing that was done, SIGKILL nothing but what came after the last
# checkpoint; in the end checkpoint, losses and evaluations are those of a run that nothing happened to. A run that is
# through begins anew. MPIRUN names another mpirun.
transport=$2 kills=$3 signals=$4 steps=${5:-300}
. "$(dirname "$0")/common.sh"
if [ $# -gt 5 ]; then shift 5; else shift $#; fi
mpirun=${MPIRUN:-mpirun} every=3
[ "$transport" = local ] || command -v "$mpirun" > /dev/null 2>&1 || exit 77
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1

keys="run.steps=$steps run.evaluate_every=7 run.evaluate_batches=2 timeout=60 $*"
# shellcheck disable=SC2086 # a list of words
"$weft" train "$work/run.yaml" run.folder="$work/whole" $keys > "$work/whole.log" 2>&1 || die "the uninterrupted run"

layout() {
    [ "$transport" = local ] || { echo "transport=mpi parallel.pipeline=2 parallel.loops=$(($1 % 2 + 1))"; return; }
    case $(($1 % 5)) in
        0) echo "parallel.pipeline=2 parallel.loops=2 parallel.schedule=breadth-first" ;;
        1) echo "parallel.pipeline=4 parallel.schedule=1f1b" ;;
        2) echo "parallel.pipeline=1 parallel.schedule=gpipe recompute=full" ;;
        3) echo "parallel.pipeline=2 parallel.loops=2 parallel.schedule=depth-first" ;;
        4) echo "parallel.pipeline=3 parallel.schedule=sequential" ;;
    esac
}

launch() { # COMMAND-BEFORE ARGUMENTS...: the run on, in layout $round
    before=$1
    shift
    [ "$transport" = local ] || before="$before $mpirun -n 2"
    # shellcheck disable=SC2046,SC2086 # lists of words
    exec $before "$weft" train "$work/run.yaml" run.folder="$work/cut" $keys $(layout $round) --resume "$@"
}

random() { # LOW HIGH: differs from round to round
    awk -v i=$((round + 1)) -v low="$1" -v high="$2" 'BEGIN { srand(i); rand(); printf "%.3f", low + (high - low) * rand() }'
}

done_steps() { # the last step that was told
    [ -f "$work/cut/metrics.jsonl" ] || { echo 0; return; }
    sed -n 's/^{"step":\([0-9]*\),.*}$/\1/p' "$work/cut/metrics.jsonl" | tail -n 1 | grep . || echo 0
}

saved_step() { # the latest checkpoint
    for folder in "$work"/cut/step-*; do
        case $folder in *[!0-9] | *.old | *.tmp) continue ;; esac
        echo "${folder##*/step-}"
    done | sed 's/^0*//' | sort -n | tail -n 1 | grep . || echo 0
}

find_ranks() { # the run's processes, and under mpirun the launcher's
    for process in $(pgrep -f "run.folder=$work/cut "); do
        case $(cat "/proc/$process/comm" 2> /dev/null) in
            "$(basename "$weft")") echo "$process" ;;
        esac
    done
}

figures() { # RUN: steps and losses of steps and evaluations, in their order
    sed 's/,"gradient_norm".*//; s/,"tokens".*//' "$1/metrics.jsonl"
}

check_end() {
    "$weft" compare "$work/whole" "$work/cut" > "$work/compare.log" 2>&1 || die "round $round: the checkpoints differ"
    figures "$work/whole" > "$work/figures.whole"
    figures "$work/cut" > "$work/figures.cut"
    diff "$work/figures.whole" "$work/figures.cut" > "$work/figures.log" || die "round $round: other losses"
    rm -r "$work/cut"
    through=$((through + 1))
    # The machine is faster than it was when the moments were chosen.
    low=$(awk -v x="$low" 'BEGIN { print 0.8 * x }') high=$(awk -v x="$high" 'BEGIN { print 0.8 * x }')
}

# How long a run takes that does a step or two: breaks come from before its beginning to some way on.
round=0
begin=$(date +%s%N)
(launch "" run.steps=2) > "$work/first.log" 2>&1 || die "the first run"
least=$((($(date +%s%N) - begin) / 1000000))
low=$(awk -v ms=$least 'BEGIN { print ms / 4000 }') high=$(awk -v ms=$least 'BEGIN { print ms / 600 + 0.2 }')
rm -r "$work/cut"

killed=0 signalled=0 through=0
while [ $((killed + signalled)) -lt $((kills + signals)) ]; do
    round=$((round + 1))
    [ $round -lt $((4 * (kills + signals))) ] || die "of $round runs only $((killed + signalled)) could be broken off"
    from=$(saved_step)
    kind=KILL
    if [ $((killed * signals)) -ge $((signalled * kills)) ] && [ $signalled -lt "$signals" ]; then
        case $((round % 4)) in 0) kind=timeout ;; 1) kind=HUP ;; 2) kind=USR1 ;; 3) kind=TERM ;; esac
    fi
    delay=$(random "$low" "$high")
    if [ $kind = timeout ] && [ "$transport" = local ]; then
        (launch "timeout $delay") > "$work/cut.log" 2>&1
        status=$?
        [ $status -ne 124 ] || status=asked
    else
        [ $kind != timeout ] || kind=USR1
        (launch "") > "$work/cut.log" 2>&1 &
        launched=$!
        sleep "$delay"
        victim=$(find_ranks | sed -n "$((round % 2 + 1))p")
        [ -n "$victim" ] || victim=$(find_ranks | tail -n 1)
        # What a batch system signals is the launcher, which hands it on.
        [ "$transport" = mpi ] && [ $kind = USR1 ] && [ -n "$victim" ] && victim=$launched
        status=late
        [ -n "$victim" ] && kill -$kind "$victim" 2> /dev/null && status=asked
        wait $launched
        got=$?
        [ $status = asked ] || status=$got
        [ $kind = KILL ] || [ $got -eq 0 ] || [ "$(done_steps)" -le "$from" ] || die "SIG$kind: status $got"
    fi
    made=$(done_steps) saved=$(saved_step)
    if [ "$saved" -eq "$steps" ] && [ "$status" != asked ]; then
        [ "$status" = 0 ] || [ "$status" = late ] || die "round $round: status $status"
        check_end
        continue
    fi
    [ "$status" = asked ] || [ $made -eq 0 ] || die "round $round: status $status"
    if [ $kind = KILL ]; then
        killed=$((killed + 1))
        [ "$saved" -ge $(((made - 1) / every * every)) ] || die "round $round: SIGKILL lost steps $saved to $made"
    else
        signalled=$((signalled + 1))
        [ "$saved" -ge "$made" ] || die "round $round: $kind lost steps $saved to $made"
    fi
done
round=$((round + 1))
(launch "") > "$work/cut.log" 2>&1 || die "the last resume"
check_end
ok "$transport: killed $killed times, asked to stop $signalled times, $through runs with the same bits"
