#!/bin/sh
# What is to be seen on the first machine with a GPU, in two halves of at most six minutes each. Every phase has a limit of its
# own, prints one line, and leaves what it said in FOLDER; a phase that fails ends nothing.
# Usage: bench/gpu.sh correctness|speed BUILD FOLDER [CORPUS]
# BUILD: a build folder with the tests (-Dcuda=enabled). CORPUS: a text of some megabytes; else words are drawn.
set -u
half=$1 build=$2 folder=$3
weft=$build/weft here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$folder"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1

corpus=${4:-$folder/corpus.txt}
[ -f "$corpus" ] || awk 'BEGIN { srand(1); for (i = 0; i < 600000; i++) printf "%c%c%c%c ", 97 + rand() * 26, 97 + rand() * 26,
    97 + rand() * 26, 97 + rand() * 26 }' >"$corpus"

# phase NAME SECONDS COMMAND...: one line
phase() {
    name=$1 limit=$2
    shift 2
    begin=$(date +%s)
    timeout "$limit" "$@" >"$folder/$name.log" 2>&1
    status=$?
    word=ok
    [ $status -eq 0 ] || word="FAILED with status $status"
    [ $status -ne 124 ] || word="took longer than its ${limit} s"
    printf '%-28s %4d s  %s\n' "$name" $(($(date +%s) - begin)) "$word"
}

run_yaml() { # NAME MODEL BATCH STEPS
    cat >"$folder/$1.yaml" <<END
device: cuda
element: bf16
model: $2
batch: $3
data: {path: $corpus}
run: {steps: $4, evaluate_batches: 1, folder: $folder/$1-run}
checkpoint: {keep: 0}
END
}

# trains NAME SECONDS FILE ARGUMENTS...: a phase that is a fresh run of FILE.yaml
trains() {
    of=$3
    rm -rf "$folder/$of-run"
    named=$1 most=$2
    shift 3
    phase "$named" "$most" "$weft" train "$folder/$of.yaml" "$@"
}

small='{layers: 4, width: 64, heads: 4, vocabulary: 256, context: 64}'
if [ "$half" = correctness ]; then
    phase machine 15 nvidia-smi -q
    run_yaml first "$small" '{microbatches: 4, sequences: 4}' 20
    trains first 20 first
    trains first-fp32 20 first element=fp32
    for test in device known loss; do phase "$test" 20 "$build/tests/device/test_device_$test" '* cuda *'; done
    phase operations 70 "$build/tests/device/test_device_operations" '* cuda *'
    phase layouts 50 sh "$here/tests/train/layouts.sh" "$build/tests/train/test_gpu_layouts" local 4
    phase layouts-mpi 30 sh "$here/tests/train/layouts.sh" "$build/tests/train/test_gpu_layouts" mpi 2 8
    phase memcheck 30 compute-sanitizer --tool memcheck "$build/tests/device/test_device_loss" '* cuda *'
    phase racecheck 30 compute-sanitizer --tool racecheck "$build/tests/device/test_device_loss" '* cuda *'
    phase no-gpu 5 env CUDA_VISIBLE_DEVICES= sh -c "$weft train $folder/first.yaml run.folder=$folder/none-run; [ \$? -eq 2 ]"
    phase wrong-index 5 sh -c "$weft train $folder/first.yaml device=cuda:99 run.folder=$folder/none-run; [ \$? -eq 2 ]"
elif [ "$half" = speed ]; then
    gpt2='{layers: 12, width: 768, heads: 12, vocabulary: 50257, context: 1024}'
    large='{layers: 48, width: 1600, heads: 25, vocabulary: 50257, context: 1024}'
    phase machine 15 nvidia-smi -q
    for sequences in 16 32 64; do
        run_yaml "124M-$sequences" "$gpt2" "{microbatches: 1, sequences: $sequences}" 25
        trains "124M-$sequences" 40 "124M-$sequences"
    done
    run_yaml 124M-two "$gpt2" '{microbatches: 4, sequences: 16}' 10
    trains 124M-two-workers 40 124M-two parallel.pipeline=2 device=cuda:0
    for sequences in 8 16; do
        run_yaml "1558M-$sequences" "$large" "{microbatches: 1, sequences: $sequences}" 8
        trains "1558M-$sequences" 50 "1558M-$sequences"
    done
    grep -h 'tokens/s' "$folder"/*M-*.log | tail -n 40
else
    echo "usage: gpu.sh correctness|speed BUILD FOLDER [CORPUS]" >&2
    exit 2
fi
