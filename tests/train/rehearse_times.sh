#!/bin/sh
# rehearse_times.sh WEFT local|mpi: the rehearsed step (median of five) is within 3 % of the simulated one, for every
# kind at P = 16, M = 32 and 5 ms an action. It sleeps and computes nothing, but a machine that is busy with something
# else wakes its threads late: a kind that fails is tried twice more, and is to pass once.
set -u
weft=$1 transport=$2 limit=3
launch=
[ "$transport" = mpi ] && launch="$(dirname "$0")/../transport/run_mpi.sh 16"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The kinds whose rows have several stages are taken with two where they allow it.
loops_of() {
    case $1 in
    depth-first | breadth-first | breadth-first-descending | hybrid | interleaved-zero-bubble | breadth-first-split)
        echo "--loops 2" ;;
    esac
}

# attempt KIND: prints simulated, rehearsed and difference; fails over the limit
attempt() {
    # shellcheck disable=SC2046,SC2086 # flags are several words
    $launch "$weft" rehearse "$1" --pipeline 16 --microbatches 32 $(loops_of "$1") --unit ms --forward 5 \
        --backward-input 5 --backward-weight 5 --comm 0.5 --transport "$transport" --json > "$work/out" || exit $?
    sed -n 's/.*"step_time": \([0-9.e+-]*\),.*/\1/p; s/.*"difference_percent": \([0-9.e+-]*\),/\1/p' "$work/out" |
        paste -s - | awk -v kind="$1" -v limit=$limit '
            NF != 3 { print kind ": no figures"; exit 1 }
            { printf "%-26s simulated %8.1f ms, rehearsed %8.1f ms, %+.2f %%\n", kind, $1, $2, $3
              exit $3 > limit || $3 < -limit }'
}

failed=0 count=0
for kind in $("$weft" schedule --help | awk 'kinds { print $1 } /^kinds:/ { kinds = 1 }'); do
    count=$((count + 1))
    attempt "$kind" || attempt "$kind" || attempt "$kind" || failed=$((failed + 1))
done
echo "$count kinds, transport $transport: $failed not within $limit %"
[ "$count" -gt 10 ] && [ $failed -eq 0 ]
