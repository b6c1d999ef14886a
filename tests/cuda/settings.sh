#!/bin/sh
# settings.sh SCENES: the emulator's environment makes GPUs go missing, small, strangers to each other, and fail.
set -eu
scenes=$1
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# expect STATUS TEXT BUG ASSIGNMENT...: how the scene ends under these settings, and what it says
expect() {
    wanted=$1 text=$2 bug=$3
    shift 3
    status=0
    env WEFT_EMULATOR_GPUS=3 "$@" "$scenes" "$bug" >"$out" 2>&1 || status=$?
    if [ "$status" != "$wanted" ] || ! grep -qF "$text" "$out"; then
        echo "$*: status $status, not $wanted with '$text'"
        cat "$out"
        exit 1
    fi
}

for streams in lazy eager some; do
    for threads in up down random; do
        expect 0 right none "WEFT_EMULATOR_STREAMS=$streams" "WEFT_EMULATOR_THREADS=$threads"
    done
done
for capability in 80 86 90 100; do expect 0 right none "WEFT_EMULATOR_CAPABILITY=$capability"; done
expect 2 'no CUDA-capable device' none WEFT_EMULATOR_GPUS=none
expect 2 'driver version is insufficient' none 'WEFT_EMULATOR_GPUS=no driver'
expect 2 'invalid device ordinal' none WEFT_EMULATOR_GPUS=1
expect 2 'peer access is not supported' none WEFT_EMULATOR_PEERS=no
expect 2 'CUBLAS_STATUS_NOT_SUPPORTED' none WEFT_EMULATOR_CAPABILITY=75
expect 2 'out of memory' none WEFT_EMULATOR_FAIL=allocation:1
expect 2 'too many resources' none WEFT_EMULATOR_FAIL=launch:1
expect 2 'unspecified launch failure' none WEFT_EMULATOR_FAIL=operation:1
expect 2 'unspecified launch failure' none WEFT_EMULATOR_FAIL=operation:3 WEFT_EMULATOR_STREAMS=eager
expect 2 'uncorrectable ECC error' none WEFT_EMULATOR_FAIL=operation:2:214
for wrong in SEED=x STREAMS=later THREADS=left GPUS=0 GPUS=17 MEMORY=-1 CAPABILITY=70 PEERS=maybe FAIL=operation FAIL=kernel:1; do
    expect 99 'what is' none "WEFT_EMULATOR_$wrong"
done
