#!/bin/sh
# Measures training steps of a model of GPT-2 124M's shape. Every figure is a ratio taken in one run: the peak is the best
# product of the same element type on the same threads, measured when the run starts.
# Usage: bench/run.sh WEFT [BENCH_OPERATIONS]
set -eu
weft=$1
operations=${2:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

bible -f gen1:1-rev22:21 > "$work/kjv.txt"
cat > "$work/gpt2.yaml" <<END
run: {steps: 3, evaluate_batches: 1, folder: $work/run}
model: {layers: 12, width: 768, heads: 12, vocabulary: 50257, context: 1024}
data: {path: $work/kjv.txt}
batch: {sequences: 2, tokens: 512}
END

value() { # KEY FILE: a number of the summary
    sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$2"
}

train() { # NAME ARGUMENTS...: runs and keeps the summary in NAME.json
    name=$1
    shift
    rm -rf "$work/run"
    "$@" --json > "$work/$name.json" 2> "$work/$name.log" || { cat "$work/$name.log" >&2; exit 1; }
}

machine=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo "machine: $(nproc) cores, $machine; GPT-2 124M shape, T = 512, micro-batches of 2 sequences, optimizer step included"
echo
echo "one worker, two threads, M = 4"
echo "element          Gflop/s    peak  share of peak"
share() { # LABEL ELEMENT
    train one "$weft" train "$work/gpt2.yaml" batch.microbatches=4 threads=2 element="$2"
    awk -v e="$1" -v f="$(value flops_per_second "$work/one.json")" -v p="$(value peak_flops_per_second "$work/one.json")" \
        'BEGIN { printf "%-15s  %7.1f  %6.1f  %.3f\n", e, f / 1e9, p / 1e9, f / p }'
}
share fp32 fp32
share bf16 bf16
# The same with oneDNN held to the instructions of processors without matrix tiles.
if grep -q amx_bf16 /proc/cpuinfo 2> /dev/null; then
    ( export ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16; share 'bf16, no AMX' bf16 )
fi

layout="parallel.pipeline=2 parallel.loops=2 parallel.schedule=breadth-first threads=1 run.steps=4"
echo
echo "two workers, one thread each, breadth-first, two loops, M = 8, against one worker with two threads; efficiency is the busy"
echo "share of the compute lanes, simulated by flops, and with what passes take on average; once with the layers divided by"
echo "flops, and once as weft timeline then says, if it does (docs/timeline.md)"
echo "element  transport  layers         efficiency  by flops  ratio  by passes  ratio  throughput of one worker"
lost="$work/lost" # of each row what its steps lose, by cause
lost() { # CAUSE: of the run's steps, from what weft timeline says
    sed -n "s/.*\"usually_lost\": {.*\"$1\": \([-0-9.e+]*\).*/\1/p" "$work/timeline.json"
}
pair() { # LAYERS [ARGUMENTS]: a row of the table, and one of what is lost
    layers=$1
    shift
    # shellcheck disable=SC2086 # launcher and layout are several words
    train two $launcher "$weft" train "$work/gpt2.yaml" batch.microbatches=8 $layout \
        element="$element" transport=$transport "$@"
    "$weft" timeline "$work/run" --json > "$work/timeline.json"
    printf '%-7s  %-9s  %-13s' "$element" $transport "$layers" | tee -a "$lost"
    awk -v e="$(lost busy)" -v s="$(lost schedule)" -v p="$(lost stages)" \
        -v two="$(value tokens_per_second "$work/two.json")" -v one="$one" \
        'BEGIN { f = 1 - s; p = f - p; printf "  %10.3f  %8.3f  %5.3f  %9.3f  %5.3f  %.3f\n", e, f, e / f, p, e / p, two / one }'
    for cause in stages step variation messages together worker outside; do
        awk -v c=$cause -v x="$(lost $cause)" 'BEGIN { printf "%*.2f", 2 + length(c), 100 * x }' >> "$lost"
    done
    echo >> "$lost"
}
: > "$lost"
for element in ${WEFT_BENCH_ELEMENTS:-fp32 bf16}; do
    train one "$weft" train "$work/gpt2.yaml" batch.microbatches=8 threads=2 element="$element"
    one=$(value tokens_per_second "$work/one.json")
    for transport in local mpi; do
        launcher=
        if [ $transport = mpi ]; then
            command -v mpirun > /dev/null 2>&1 || continue
            launcher='mpirun -n 2'
        fi
        pair 'by flops'
        named=$(sed -n 's/.*"split": {"stages": \[\([0-9, ]*\)\].*/\1/p' "$work/timeline.json" | tr -d ' ')
        [ -z "$named" ] || pair "[$named]" "parallel.stages=[$named]"
    done
done
echo "points of efficiency between the one by flops and the measured one (docs/timeline.md)"
echo "element  transport  layers         stages  step  variation  messages  together  worker  outside"
cat "$lost"

echo
echo "two data-parallel workers, one thread each, M = 4 each, against one worker with two threads, M = 4"
echo "element  shard    throughput of one worker"
for element in ${WEFT_BENCH_ELEMENTS:-fp32 bf16}; do
    train one "$weft" train "$work/gpt2.yaml" batch.microbatches=4 threads=2 element="$element"
    one=$(value tokens_per_second "$work/one.json")
    for shard in none weights; do
        train two "$weft" train "$work/gpt2.yaml" batch.microbatches=4 element="$element" parallel.data=2 parallel.shard=$shard threads=1
        awk -v n="$element" -v s=$shard -v two="$(value tokens_per_second "$work/two.json")" -v one="$one" \
            'BEGIN { printf "%-7s  %-7s  %.3f\n", n, s, two / one }'
    done
done

echo
echo "two tensor-parallel workers, one thread each, against one worker with two threads, M = 4"
echo "element  transport  throughput of one worker"
for element in ${WEFT_BENCH_ELEMENTS:-fp32 bf16}; do
    train one "$weft" train "$work/gpt2.yaml" batch.microbatches=4 threads=2 element="$element"
    one=$(value tokens_per_second "$work/one.json")
    for transport in local mpi; do
        set -- "$weft" train "$work/gpt2.yaml" batch.microbatches=4 element="$element" parallel.tensor=2 threads=1 transport=$transport
        if [ $transport = mpi ]; then
            command -v mpirun > /dev/null 2>&1 || continue
            set -- mpirun -n 2 "$@"
        fi
        train two "$@"
        awk -v n="$element" -v t=$transport -v two="$(value tokens_per_second "$work/two.json")" -v one="$one" \
            'BEGIN { printf "%-7s  %-9s  %.3f\n", n, t, two / one }'
    done
done

if [ -n "$operations" ]; then
    echo
    "$operations"
fi
