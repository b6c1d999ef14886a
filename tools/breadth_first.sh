#!/bin/sh
# breadth_first.sh WEFT simulated|rehearsed NAME: a table of docs/breadth-first.md, on standard output. NAME is narrow (two
# stages a rank and room for one), roomy (two and two), wide (four and two) or hidden (reductions behind compute).
# Simulated figures are exact; rehearsed ones are measured, medians of five steps, and take as long as the steps do.
set -eu
weft=$1 how=$2 name=$3

figures='--json --unit ms --forward 10 --backward-input 10 --backward-weight 10 --comm 1 --pipeline 4 --data 2
    --shard weights'
link='--gather 10 --reduce 20'
case $how in
simulated) run='simulate' ;;
rehearsed) run='rehearse --steps 5' ;;
*) echo "breadth_first.sh: simulated or rehearsed, not '$how'" >&2; exit 2 ;;
esac

# figure KEY [WORD]: a number of the object in standard input; from the line with that word
figure() {
    sed -n "s/.*${2:-}.*\"$1\": \([-0-9.e+]*\).*/\1/p" | tail -n 1
}

# measure KIND FLAG...: the object
measure() {
    # shellcheck disable=SC2086 # flags are several words
    "$weft" $run $figures "$@"
}

# cell OBJECT: step time, and gathers and reductions of all ranks, or how far it is from the simulation
cell() {
    if [ "$how" = simulated ]; then
        printf ' %.0f ms, %d + %d |' "$(echo "$1" | figure step_time)" "$(echo "$1" | figure gathers)" \
            "$(echo "$1" | figure reductions)"
    else
        printf ' %.0f ms, %+.1f %% |' "$(echo "$1" | figure step_time rehearsed)" \
            "$(echo "$1" | figure difference_percent)"
    fi
}

# by_microbatches FLAG...: step times
by_microbatches() {
    echo '| M | breadth-first | depth-first | 1f1b |'
    echo '| --- | --- | --- | --- |'
    for microbatches in 4 8 16 32; do
        printf '| %d |' $microbatches
        for kind in breadth-first depth-first 1f1b; do
            # shellcheck disable=SC2086
            cell "$(measure $kind --microbatches $microbatches $link "$@")"
        done
        echo
    done
}

# M = 8 backward passes of 20 ms to a stage: a reduction that takes half as long as they do takes 80 ms.
hidden() {
    echo '| stages a rank | breadth-first | depth-first | 1f1b |'
    echo '| --- | --- | --- | --- |'
    for loops in 2 4 6 8; do
        printf '| %d |' $loops
        for kind in breadth-first depth-first 1f1b; do
            measure $kind --microbatches 8 --loops $loops --gather 40 --reduce 80 |
                figure reductions_hidden "$([ "$how" = simulated ] || echo rehearsed)" |
                awk '{ printf " %.1f %% |", 100 * $1 }'
        done
        echo
    done
}

case $name in
narrow) by_microbatches --loops 2 --buffers 1 --reduce-early ;;
roomy) by_microbatches --loops 2 --buffers 2 --reduce-early ;;
wide) by_microbatches --loops 4 --buffers 2 --reduce-early ;;
hidden) hidden ;;
*) echo "breadth_first.sh: narrow, roomy, wide or hidden, not '$name'" >&2; exit 2 ;;
esac
