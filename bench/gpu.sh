#!/bin/sh
# What is to be seen on the first machine with a GPU, in two halves of at most 290 s each. Every phase has a limit of its own,
# prints one line, and leaves what it said in FOLDER; one that fails ends nothing, but the status is 1 then.
# Usage: bench/gpu.sh [-e] [-p PYTHON] correctness|speed BUILD FOLDER [CORPUS]
# BUILD: a build folder with the tests (-Dcuda=enabled). CORPUS: a text of some megabytes; else words are drawn.
# -p: a Python that has torch (python3). -e: the emulator's programs and tiny sizes, to try the script itself.
set -u
python=python3 emulated='' slowness=1 half_seconds=290
while getopts ep: option; do
    case $option in
    e) emulated=yes slowness=20 half_seconds=5800 ;;
    p) python=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 3 ] || { echo "usage: gpu.sh [-e] [-p PYTHON] correctness|speed BUILD FOLDER [CORPUS]" >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$3" || exit 2
half=$1 folder=$(cd "$3" && pwd)
build=$(cd "$2" && pwd) || exit 2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
if [ -n "$emulated" ]; then
    weft=$build/tests/cuda/weft-cuda-plain layouts=$build/tests/train/test_cuda_layouts_plain
    tests=$build/tests/cuda/test_cuda_ suffix=_plain stride=97 torch_on=cpu cases='test_values cuda fp32*'
else
    weft=$build/weft layouts=$build/tests/train/test_gpu_layouts
    tests=$build/tests/device/test_device_ suffix='' stride=4 torch_on=cuda cases='* cuda *'
fi

corpus=${4:-$folder/corpus.txt}
[ -f "$corpus" ] || awk 'BEGIN { srand(1); for (i = 0; i < 600000; i++) printf "%c%c%c%c ", 97 + rand() * 26, 97 + rand() * 26,
    97 + rand() * 26, 97 + rand() * 26 }' >"$corpus"

started=$(date +%s) failed=0
# phase NAME SECONDS COMMAND...: one line, and a log of its own. What the half has left is a limit, too.
phase() {
    name=$1 limit=$(($2 * slowness))
    shift 2
    begin=$(date +%s) word=ok status=none
    left=$((started + half_seconds - begin - 2))
    [ "$limit" -le "$left" ] || limit=$left
    rm -f "$folder/$name.log"
    [ "$limit" -lt 1 ] || { timeout -k 1 "$limit" "$@" >"$folder/$name.log" 2>&1; status=$?; }
    case $status in
    0) ;;
    none) word="not begun: the time of this half is over" failed=1 ;;
    77) word="skipped: $(tail -n 1 "$folder/$name.log")" ;;
    124 | 137) word="longer than its ${limit} s" failed=1 ;;
    *) word="FAILED with status $status: $(tail -n 1 "$folder/$name.log" | cut -c 1-200)" failed=1 ;;
    esac
    printf '%-20s %4d s  %s\n' "$name" $(($(date +%s) - begin)) "$word"
}

# with PROGRAM NAME SECONDS COMMAND...: a phase where this machine has the program
with() {
    program=$1
    shift
    if command -v "$program" >/dev/null 2>&1; then
        phase "$@"
    else
        rm -f "$folder/$1.log"
        printf '%-20s %4d s  skipped: no %s here\n' "$1" 0 "$program"
    fi
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

# refuses NAME TEXT ASSIGNMENTS-OF-THE-ENVIRONMENT... -- ARGUMENTS...: a phase that is to end with status 2 and a line of this
# text
refuses() {
    named=$1 text=$2
    shift 2
    cat >"$folder/refuses.sh" <<'END'
text=$1 weft=$2 file=$3 run=$4
shift 4
for word; do
    shift
    [ "$word" != -- ] || break
    export "$word"
done
rm -rf "$run"
"$weft" train "$file" run.folder="$run" "$@" >"$0.said" 2>&1
status=$?
cat "$0.said"
[ $status -eq 2 ] && grep -q "$text" "$0.said"
END
    phase "$named" 5 sh "$folder/refuses.sh" "$text" "$refusing" "$folder/first.yaml" "$folder/refused-run" "$@"
}

correctness() {
    run_yaml first '{layers: 4, width: 64, heads: 4, vocabulary: 256, context: 64}' '{microbatches: 4, sequences: 4}' \
        "$([ -n "$emulated" ] && echo 2 || echo 20)"
    trains first 15 first
    trains first-fp32 10 first element=fp32
    trains first-peers 10 first parallel.pipeline=2 parallel.loops=2
    for test in device known loss; do phase "$test" 8 "$tests$test$suffix" '* cuda *'; done
    phase operations 55 "${tests}operations$suffix" "$cases"
    phase layouts 45 sh "$here/tests/train/layouts.sh" "$layouts" local "$stride"
    with mpirun layouts-mpi 30 sh "$here/tests/train/layouts.sh" "$layouts" mpi 2 $((stride * 2))
    kill_and_resume
    with compute-sanitizer memcheck 20 compute-sanitizer --tool memcheck --error-exitcode 1 "${tests}loss$suffix" '* cuda *'
    with compute-sanitizer racecheck 20 compute-sanitizer --tool racecheck --error-exitcode 1 "${tests}loss$suffix" '* cuda *'
    refusing=$weft
    refuses no-gpu 'no GPU that it shows' CUDA_VISIBLE_DEVICES= WEFT_EMULATOR_GPUS=none --
    refuses wrong-index "no device 'cuda:99': this machine has" -- device=cuda:99
    refuses too-large 'the workers need .* MiB, there are' -- model.layers=96 model.width=16384
    missing_libraries
}

# A run that is killed behind its first checkpoint goes on in another layout, and ends as one that nothing happened to.
kill_and_resume() {
    cat >"$folder/kill.sh" <<'END'
weft=$1 file=$2 folder=$3 steps=$4
train() {
    of=$1
    shift
    exec "$weft" train "$file" run.folder="$folder/$of" run.steps="$steps" checkpoint.every=2 "$@"
}
rm -rf "$folder/whole" "$folder/cut"
(train whole) || exit 1
train cut &
process=$!
while [ ! -d "$folder/cut/step-00000002" ] && kill -0 $process; do sleep 0.1; done
kill -KILL $process
wait $process
(train cut parallel.pipeline=2 --resume) || exit 1
last=$(printf 'step-%08d' "$steps")
"$weft" compare "$folder/whole/$last" "$folder/cut/$last"
END
    phase kill-resume 25 sh "$folder/kill.sh" "$weft" "$folder/first.yaml" "$folder" "$([ -n "$emulated" ] && echo 6 || echo 100)"
}

# In a folder without the build's libraries, whose search path begins with a library that is none, then with one without a
# function, for whichever CUDA weft was built with.
missing_libraries() {
    mkdir -p "$folder/alone" "$folder/old"
    cp "$weft" "$folder/alone/weft"
    refusing=$folder/alone/weft
    first="LD_LIBRARY_PATH=$folder/old${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    for major in 11 12 13 14; do echo 'no library' >"$folder/old/libcublasLt.so.$major"; done
    refuses library-missing 'cannot be opened: ' "$first" --
    rm "$folder/old"/*
    if command -v cc >/dev/null 2>&1 && cc -shared -o "$folder/old/none.so" -x c /dev/null; then
        for major in 11 12 13 14; do cp "$folder/old/none.so" "$folder/old/libcublasLt.so.$major"; done
        refuses library-old 'it is too old' "$first" --
    fi
}

# beside NAME SECONDS ARGUMENTS...: PyTorch
beside() {
    named=$1 most=$2
    shift 2
    with "$python" "$named" "$most" "$python" "$here/tools/torch_gpu.py" --device "$torch_on" "$@"
}

# What it says of sizes is for GPT-2; emulated, all of them are one that is tiny.
speed() {
    small='layers: 12, width: 768, heads: 12' large='layers: 48, width: 1600, heads: 25' rest='vocabulary: 50257, context: 1024'
    small_torch='--layers 12 --width 768 --heads 12' large_torch='--layers 48 --width 1600 --heads 25 --eager'
    steps=25 few=8
    if [ -n "$emulated" ]; then
        small='layers: 2, width: 16, heads: 2' large='layers: 3, width: 16, heads: 2' rest='vocabulary: 256, context: 16'
        small_torch='--layers 2 --width 16 --heads 2 --vocabulary 256 --context 16 --eager' large_torch=$small_torch
        steps=2 few=2
    fi
    for sequences in 16 32 64; do
        run_yaml "124M-$sequences" "{$small, tied: true, $rest}" "{microbatches: 1, sequences: $sequences}" $steps
        trains "124M-$sequences" 22 "124M-$sequences"
    done
    run_yaml 124M-two "{$small, tied: true, $rest}" '{microbatches: 4, sequences: 16}' $few
    trains 124M-two 25 124M-two parallel.pipeline=2 device=cuda:0
    for sequences in 8 16; do
        run_yaml "1558M-$sequences" "{$large, tied: true, $rest}" "{microbatches: 1, sequences: $sequences}" $few
        trains "1558M-$sequences" 30 "1558M-$sequences"
    done
    # shellcheck disable=SC2086 # lists of words
    beside torch-124M 55 $small_torch --sequences 32 --steps $steps
    # shellcheck disable=SC2086
    beside torch-1558M 35 $large_torch --sequences 8 --steps $few
    rm -rf "$folder/ncu-run"
    with ncu ncu 20 ncu --clock-control none --launch-skip 200 --launch-count 20 "$weft" train "$folder/124M-32.yaml" \
        run.steps=1 "run.folder=$folder/ncu-run"
    for log in "$folder"/*M-*.log "$folder"/torch-*.log; do
        [ ! -f "$log" ] || printf '%-20s %s\n' "$(basename "$log" .log)" "$(grep -h 'tokens/s' "$log" | tail -n 1)"
    done
    grep -hs 'measured peak' "$folder/124M-32.log"
}

case $half in
correctness | speed) ;;
*) echo "gpu.sh: what is '$half'? There are correctness and speed" >&2; exit 2 ;;
esac
with nvidia-smi machine 5 nvidia-smi -q
$half
echo "$half: $(($(date +%s) - started)) s"
exit $failed
