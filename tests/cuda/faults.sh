#!/bin/sh
# faults.sh WEFT: what is missing or goes wrong on a GPU is one line and the right status, and harms no checkpoint. WEFT
# has the device cuda on the emulator, whose environment makes all of this happen.
set -u
weft=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-cuda-XXXXXX")
trap 'rm -rf "$work"' EXIT

die() {
    echo "FAILED: $*" >&2
    cat "$work/log" >&2
    exit 1
}

awk 'BEGIN { for (i = 0; i < 3000; i++) printf "%s ", substr("warp weft loom thread", i * i % 17 + 1, 5) }' >"$work/corpus.txt"
cat >"$work/run.yaml" <<END
device: cuda
model: {layers: 2, width: 16, heads: 2, feed_forward: 32, vocabulary: 256, context: 16}
batch: {microbatches: 2, sequences: 2, tokens: 8}
data: {path: $work/corpus.txt, held_out: 0}
run: {steps: 12, seed: 7}
checkpoint: {every: 2, keep: 2}
threads: 1
timeout: 60
END

train() { # ASSIGNMENTS-OF-THE-ENVIRONMENT -- ARGUMENTS...
    words=
    while [ "$1" != -- ]; do words="$words $1"; shift; done
    shift
    # shellcheck disable=SC2086 # assignments
    env $words "$weft" train "$work/run.yaml" "$@" >"$work/log" 2>&1
}

# refuses STATUS TEXT ASSIGNMENTS... -- ARGUMENTS...: one line of that text, once, and no folder
refuses() {
    status=$1 text=$2
    shift 2
    train "$@" run.folder="$work/refused"
    got=$?
    [ $got -eq "$status" ] || die "$text: status $got, not $status"
    [ "$(grep -c "$text" "$work/log")" -eq 1 ] || die "not said once: $text"
    rm -rf "$work/refused"
}

train -- run.folder="$work/whole" || die "a run"
grep -q 'measured peak [0-9.]* Gflop/s' "$work/log" || die "no peak is measured"

(
    export WEFT_EMULATOR_GPUS='no driver'
    refuses 2 'this machine has no driver' --
) || exit 1
refuses 2 'no GPU that it shows' WEFT_EMULATOR_GPUS=none --
refuses 2 "no device 'cuda:0': this machine has none of cuda" WEFT_EMULATOR_GPUS=none -- device=cuda:0
refuses 2 "no device 'cuda:1': this machine has 1 of cuda, numbered from 0" -- device=cuda:1
refuses 2 'has no bf16: it has compute capability 7.5, bf16 needs 8.0' WEFT_EMULATOR_CAPABILITY=75 -- element=bf16
refuses 2 'the workers need .* MiB, there are 8.0 MiB here; ' WEFT_EMULATOR_MEMORY=8 -- model.width=256 \
    model.feed_forward=1024
train WEFT_EMULATOR_MEMORY=8 -- model.width=256 model.feed_forward=1024 --dry-run || die "a dry run"
grep -q 'the workers need .* MiB, there are 8.0 MiB here' "$work/log" || die "a dry run does not say that it will not fit"
for number in 1 2 3 4; do refuses 1 'device cuda.*: .*out of .*memory' WEFT_EMULATOR_FAIL=allocation:$number --; done
mkdir "$work/alone"
cp "$weft" "$work/alone/"
if ! ldconfig -p 2>/dev/null | grep -q libcublasLt.so.13; then
    weft=$work/alone/$(basename "$weft")
    refuses 2 'libcublasLt.so.13 of CUDA 13 cannot be opened: .*No such file' --
fi
weft=$work/alone/$(basename "$weft") # which looks beside itself
echo 'no library' >"$work/alone/libcublasLt.so.13"
refuses 2 'libcublasLt.so.13 of CUDA 13 cannot be opened: ' --
rm "$work/alone/libcublasLt.so.13"
if command -v cc >/dev/null 2>&1; then
    cc -shared -o "$work/alone/libcublasLt.so.13" -x c /dev/null
    refuses 2 'libcublasLt.so.13 has no cublasLt[A-Za-z]*: it is too old' --
fi
weft=$1
train WEFT_EMULATOR_CAPABILITY=75 -- element=fp32 run.folder="$work/old" || die "fp32 on an old GPU"

# Workers in turn on the GPUs that there are, two on each.
train WEFT_EMULATOR_GPUS=2 -- parallel.pipeline=2 parallel.data=2 batch.microbatches=1 run.folder="$work/shared" ||
    die "four workers on two GPUs"
train -- parallel.pipeline=2 parallel.data=2 batch.microbatches=1 run.folder="$work/one" || die "four workers on one GPU"
"$weft" compare "$work/shared/step-00000012" "$work/one/step-00000012" >"$work/log" 2>&1 ||
    die "other bits between two GPUs than on one"

# Which operation fails depends on the run, not on how many products were timed at its start: a run that has done its
# steps begins with the same ones each time, and none of them is a product.
cp -r "$work/whole" "$work/done"
number=40
until train WEFT_CUDA_SYNC=1 WEFT_EMULATOR_FAIL=operation:$number -- run.folder="$work/done" --resume; do
    ! grep -q 'linear_forward' "$work/log" || die "operation $number is one that measures the peak"
    number=$((number + 4))
    [ $number -lt 200 ] || die "no run that has nothing to do ends"
done

# A GPU that is lost in the middle: the last checkpoint is whole, and a run that goes on from it in another layout ends
# as one that nothing happened to.
refuses 1 'an operation that it was given failed: .*WEFT_CUDA_SYNC=1 in the environment names it' \
    WEFT_EMULATOR_FAIL=operation:300 --
for error in 214 220 226 700 702 710 714 715 716 717 718 719 721; do
    refuses 1 'an operation that it was given failed: ' WEFT_EMULATOR_STREAMS=eager \
        WEFT_EMULATOR_FAIL=operation:180:$error --
done
for number in 1 2 3 4; do
    refuses 1 'device cuda:0: .*an illegal memory access' WEFT_EMULATOR_FAIL=allocation:$number:700 --
    ! grep -q 'out of .*memory' "$work/log" || die "a lost GPU is said to have no memory"
done
refuses 1 'cuda:0: [a-z_]*: ' WEFT_EMULATOR_FAIL=operation:300 WEFT_CUDA_SYNC=1 --

# Between two GPUs, whichever of them is lost, and whatever the other copies out of it.
for number in 1 20 60 100 140 180 220 260 300 340 380; do
    for peers in yes no; do
        refuses 1 'device cuda:[01]' WEFT_EMULATOR_SEED=$number WEFT_EMULATOR_PEERS=$peers WEFT_EMULATOR_GPUS=2 \
            WEFT_EMULATOR_FAIL=operation:$number -- parallel.pipeline=2 parallel.data=2 batch.microbatches=1
        ! grep -q 'cuda:[01]: [a-z_]*: .*LaunchFailure' "$work/log" || die "an operation is blamed for what came before it"
    done
done
number=100
while refused_by=$(train WEFT_EMULATOR_GPUS=2 WEFT_CUDA_SYNC=1 WEFT_EMULATOR_FAIL=operation:$number -- \
    parallel.pipeline=2 run.folder="$work/refused"; sed -n 's/.*cuda:[01]: \([a-z_]*\): .*/\1/p' "$work/log"); do
    rm -rf "$work/refused"
    [ "$refused_by" != copy_peer ] || break
    number=$((number + 1))
    [ $number -lt 400 ] || die "no copy between two GPUs is ever named"
done
got=0
train WEFT_EMULATOR_FAIL=operation:900 -- run.folder="$work/cut" || got=$?
[ $got -eq 1 ] || die "a lost GPU: status $got"
[ -d "$work/cut/step-00000002" ] || die "no checkpoint was made before the GPU was lost"
train -- run.folder="$work/cut" parallel.pipeline=2 --resume || die "the run that goes on"
"$weft" compare "$work/whole/step-00000012" "$work/cut/step-00000012" >"$work/log" 2>&1 || die "other bits"
