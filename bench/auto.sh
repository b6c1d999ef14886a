#!/bin/sh
# The plan of parallel.auto against training on this machine, with two workers: what it chooses and five other layouts,
# each predicted from one measurement of the machine (weft plan --measure), then trained for some steps. Times are medians;
# the last column is the time over that of the fastest. Usage: bench/auto.sh WEFT [demo|gpt2 ...]
# WEFT_BENCH_QUIET: a command in front of each that measures or trains, one after the other.
set -eu
weft=$1
quiet=${WEFT_BENCH_QUIET:-}
shift
[ $# -gt 0 ] || set -- demo gpt2
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT

bible -f gen1:1-rev22:21 > "$work/kjv.txt"
cat > "$work/demo.yaml" <<END
run: {steps: 60, evaluate_batches: 1}
model: {layers: 4, width: 128, heads: 4, vocabulary: 256, context: 128}
data: {path: $work/kjv.txt, format: text}
batch: {microbatches: 8, sequences: 2}
END
cat > "$work/gpt2.yaml" <<END
run: {steps: 3, evaluate_batches: 1}
model: {layers: 12, width: 768, heads: 12, vocabulary: 50257, context: 1024}
data: {path: $work/kjv.txt}
batch: {microbatches: 4, sequences: 1, tokens: 512}
END

# The chosen one has nothing decided. HALF: with two pipelines each has half of the batch.
layouts='
parallel.tensor=2
parallel.data=2,parallel.shard=none,HALF
parallel.pipeline=2,parallel.schedule=1f1b
parallel.pipeline=2,parallel.loops=2,parallel.schedule=breadth-first
parallel.data=2,parallel.shard=weights,recompute=full,HALF'

try() { # MODEL LAYOUT: a line of layout, predicted and measured seconds
    half=$(sed -n 's/^batch: {microbatches: \([0-9]*\),.*/\1/p' "$work/$1.yaml")
    overrides=$(printf '%s' "$2" | sed "s/HALF/batch.microbatches=$((half / 2))/" | tr ',' ' ')
    set -- "$1" "$2" "$work/$1.yaml" parallel.auto=true parallel.workers=2 "parallel.cluster=$work/$1.machine"
    # shellcheck disable=SC2086 # a list of words
    note=$("$weft" train "$3" "$4" "$5" "$6" $overrides --dry-run | sed -n 's/^note *parallel.auto: //p')
    predicted=$(printf '%s' "$note" | sed 's/.*: \([0-9.e+-]*\) s a step predicted.*/\1/')
    rm -rf "$work/run"
    # shellcheck disable=SC2086
    $quiet "$weft" train "$3" "$4" "$5" "$6" $overrides run.folder="$work/run" --json > "$work/run.json" 2> "$work/run.log" ||
        { cat "$work/run.log" >&2; exit 1; }
    measured=$(sed -n 's/.*"median_step_seconds": \([0-9.e+-]*\).*/\1/p' "$work/run.json")
    printf '%s %s %s\n' "$predicted" "$measured" "$(printf '%s' "$note" | sed 's/: [^:]*$//')"
}

machine=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo "machine: $(nproc) cores, $machine; two workers; load $(cut -d ' ' -f 1 /proc/loadavg) at the start"
for model; do
    echo
    $quiet "$weft" plan "$work/$model.yaml" --measure "$work/$model.machine" --gpus 2 | sed "s|^.*machine: |$model: |"
    printf '%s\n' "$layouts" | while IFS= read -r layout; do try "$model" "$layout"; done > "$work/$model.rows"
    awk '{ p[NR] = $1; m[NR] = $2; if (NR == 1 || $2 < least) least = $2; sub(/^[^ ]* [^ ]* /, ""); name[NR] = $0 }
        END {
            print "predicted   measured      off  of the fastest  layout (the first is the chosen one)"
            for (i = 1; i <= NR; i++)
                printf "%8.4f s %8.4f s  %+6.1f%%  %14.3f  %s\n", p[i], m[i], 100 * (p[i] / m[i] - 1), m[i] / least, name[i]
        }' "$work/$model.rows"
done
