#!/bin/sh
# What goes wrong while running: one line that says what and where, the right status, and the last checkpoint unharmed.
. "$(dirname "$0")/common.sh"

expect() { # STATUS PATTERN NAME ARGUMENTS...: the run must end with the status and say the pattern in one line on stderr
    status=$1 pattern=$2 name=$3
    shift 3
    "$weft" "$@" > "$work/$name.out" 2> "$work/$name.log"
    got=$?
    [ $got -eq "$status" ] || die "$name: status $got instead of $status"
    grep -Eq "$pattern" "$work/$name.log" || die "$name: the message does not say '$pattern'"
    [ "$(wc -l < "$work/$name.log")" -eq 1 ] || die "$name: more than one line"
    ok "$name"
}

"$weft" train "$work/run.yaml" run.steps=6 run.folder="$work/good" > "$work/good.log" 2>&1 || die "a good run"
cp -r "$work/good" "$work/before"

expect 2 "nearest: 'model.layers'" misspelt train "$work/run.yaml" model.layes=3 run.folder="$work/none"
expect 2 'no-such-file' missing-file train "$work/run.yaml" data.path="$work/no-such-file" run.folder="$work/none"
expect 2 'resume' folder-in-use train "$work/run.yaml" run.folder="$work/good"
expect 2 'recompute=full would fit' too-large train "$work/run.yaml" batch.sequences=64 memory_limit=40MiB run.folder="$work/none"
expect 2 'placement|loop' impossible train "$work/run.yaml" parallel.schedule=depth-first parallel.placement=linear \
    parallel.loops=2 parallel.pipeline=2 run.folder="$work/none"
[ ! -e "$work/none" ] || die "a refused run wrote $work/none"

expect 1 'rank 1, step [0-9]+, stage 1, micro-batch [0-9]+: the loss is not finite|rank [01], step [0-9]+, stage [01], micro-batch [0-9]+: the gradient of .* is not finite' \
    not-finite train "$work/run.yaml" parallel.pipeline=2 optimizer.learning_rate=1e30 optimizer.warmup=0 run.folder="$work/diverged"
expect 1 'rank 2, step [0-9]+, stage 1, micro-batch [0-9]+: the loss is not finite|rank [0-3], step [0-9]+, stage [01], micro-batch [0-9]+: the gradient of .* is not finite' \
    not-finite-tensor train "$work/run.yaml" parallel.pipeline=2 parallel.tensor=2 optimizer.learning_rate=1e30 optimizer.warmup=0 \
    run.folder="$work/diverged-tensor"

"$weft" compare "$work/good" "$work/before" > /dev/null || die "the good checkpoint changed"
checkpoint=$(ls -d "$work"/good/step-* | tail -n 1)
weights=$(ls "$checkpoint"/weights-*.safetensors | head -n 1)
cp "$weights" "$work/kept"
head -c 1000 "$work/kept" > "$weights"
expect 2 'truncated at byte 1000' truncated train "$work/run.yaml" run.folder="$work/good" --resume
{ head -c 5000 "$work/kept"; printf x; tail -c +5002 "$work/kept"; } > "$weights"
expect 2 'checksum' corrupt generate "$work/good" --prompt the
cp "$work/kept" "$weights"

# A full disk, as a limit on the size of a file: the checkpoint before stays and is named.
for tensor in 1 2; do
    ( ulimit -f 60; "$weft" train "$work/run.yaml" run.folder="$work/good" run.steps=9 parallel.tensor=$tensor --resume \
        > "$work/full.out" 2> "$work/full.log" )
    status=$?
    [ $status -eq 1 ] || die "a full disk ended with status $status"
    grep -q 'the one before it stays' "$work/full.log" || die "a full disk: the message does not say what stays"
    [ -z "$(ls -d "$work"/good/*.tmp 2> /dev/null)" ] || die "a full disk left a half-written checkpoint"
    "$weft" compare "$work/good" "$work/before" > "$work/compare.log" || die "a full disk harmed the checkpoint before"
    ok "full disk, tensor-parallel width of $tensor"
done

( ulimit -f 60; "$weft" train "$work/run.yaml" run.folder="$work/first" run.steps=9 > "$work/full.out" 2> "$work/full.log" )
[ $? -eq 1 ] || die "a full disk at the first checkpoint: not status 1"
grep -q 'was not written, and there is none before it' "$work/full.log" || die "a full disk at the first checkpoint: what stays?"
ok "full disk at the first checkpoint"

# The record of the steps grows over what a checkpoint takes.
small="model.layers=1 model.width=16 model.feed_forward=16 run.steps=3000 checkpoint.every=0 run.timelines=0"
# shellcheck disable=SC2086 # a list of words
( ulimit -f 100; "$weft" train "$work/run.yaml" run.folder="$work/record" $small > "$work/full.out" 2> "$work/full.log" )
[ $? -eq 1 ] || die "a full disk under metrics.jsonl: not status 1"
grep -Eq 'metrics.jsonl: cannot write.*; the checkpoint of step [0-9]+ is saved' "$work/full.log" || die "a full disk under metrics.jsonl"
[ "$(wc -l < "$work/full.log")" -eq 1 ] || die "a full disk under metrics.jsonl: more than one line"
step=$(sed 's/.*the checkpoint of step \([0-9]*\) is saved.*/\1/' "$work/full.log")
# The line of the step before may be cut, its own was not written.
[ "$(grep -c '^{"step".*}$' "$work/record/metrics.jsonl")" -ge $((step - 2)) ] || die "metrics.jsonl: $step steps are saved"
[ -d "$(printf '%s/step-%08d' "$work/record" "$step")" ] || die "metrics.jsonl: step $step is not saved"
ok "full disk under metrics.jsonl"

# A token outside the vocabulary is found before the first step.
head -c 20000 /dev/zero > "$work/tokens.bin"
printf '\377\377' | dd of="$work/tokens.bin" bs=1 seek=9000 conv=notrunc 2> /dev/null
expect 2 'data.path: .*tokens.bin: token 65535 at byte 9000 is outside' bad-token train "$work/run.yaml" \
    data.path="$work/tokens.bin" run.folder="$work/tokens" parallel.pipeline=2
