#!/bin/sh
# The peak resident memory of a run of more than 50 million parameters is within 10 % of what --dry-run prints, for every
# kind of sharding too.
. "$(dirname "$0")/common.sh"

model="model.layers=8 model.width=640 model.heads=10 model.vocabulary=32000 model.feed_forward=0 model.context=256 batch.tokens=256
       batch.microbatches=4 run.steps=2 run.evaluate_batches=1 checkpoint.every=0 threads=1"

check() { # NAME ARGUMENTS...
    name=$1
    shift
    # shellcheck disable=SC2086 # a list of words
    "$weft" train "$work/run.yaml" $model "$@" --dry-run --json > "$work/$name.plan" 2> "$work/$name.log" || die "$name: dry run"
    # shellcheck disable=SC2086
    "$weft" train "$work/run.yaml" $model "$@" run.folder="$work/$name" --json > "$work/$name.json" 2> "$work/$name.log" ||
        die "$name: run"
    parameters=$(sed -n 's/.*{"parameters": \([0-9]*\).*/\1/p' "$work/$name.plan")
    [ "$parameters" -gt 50000000 ] || die "$name: only $parameters parameters"
    printed=$(sed -n 's/.*"total_bytes": \([0-9]*\).*/\1/p' "$work/$name.plan")
    resident=$(sed -n 's/.*"peak_resident_bytes": \([0-9.e+]*\).*/\1/p' "$work/$name.json")
    awk -v p="$printed" -v r="$resident" 'BEGIN { exit !(r > 0.9 * p && r < 1.1 * p) }' ||
        die "$name: $printed bytes printed, $resident resident"
    rm -rf "${work:?}/$name"
    ok "$name: $printed bytes printed, $resident resident"
}

check fp32 element=fp32
check bf16 element=bf16
check recompute element=fp32 recompute=full
check two-workers element=bf16 parallel.pipeline=2 parallel.loops=2
check llama element=fp32 model.architecture=llama model.layers=9 parallel.pipeline=2 parallel.schedule=1f1b
for shard in none optimizer gradients weights; do
    check "shard-$shard" element=bf16 parallel.data=2 parallel.loops=2 parallel.shard=$shard
done
for shard in gradients weights; do
    check "shard-$shard-early" element=bf16 parallel.data=2 parallel.loops=2 parallel.shard=$shard parallel.reduce=early parallel.buffers=1
done
check shard-weights-fp32 element=fp32 parallel.data=2 parallel.loops=2 parallel.shard=weights
for element in fp32 bf16; do check tensor-$element element=$element parallel.tensor=2; done
check tensor-sharded element=bf16 model.architecture=llama model.layers=9 parallel.tensor=2 parallel.data=2 parallel.loops=2 parallel.shard=weights
