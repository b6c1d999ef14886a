#!/bin/sh
# Data that change under a run: it ends after the step that it is in, saved, with status 1 and the file and the byte, and
# goes on with the same bits once the data are as they were. So it does when a token outside the vocabulary is found.
# Usage: data_changes.sh WEFT [mpi]
. "$(dirname "$0")/common.sh"
transport=${2:-local}

# run NAME ARGUMENTS...: 100,000 steps, far more than will be made, on two workers; sets $pid
run() {
    name=$1
    shift
    set -- train "$work/run.yaml" run.folder="$work/$name" run.steps=100000 checkpoint.every=0 run.timelines=0 \
        parallel.pipeline=2 device=reference optimizer.decay=constant transport="$transport" "$@"
    if [ "$transport" = mpi ]; then set -- mpirun -n 2 "$weft" "$@"; else set -- "$weft" "$@"; fi
    "$@" > "$work/$name.out" 2> "$work/$name.log" < /dev/null &
    pid=$!
}

# until_step NAME: until it has made one
until_step() {
    tries=0
    until [ -s "$work/$1/metrics.jsonl" ]; do
        sleep 0.1
        tries=$((tries + 1))
        [ $tries -lt 600 ] || die "$1: the run does not start"
    done
}

# ends NAME WORDS: with status 1, these words and a checkpoint, if a step was made; sets $last
ends() {
    wait "$pid"
    status=$?
    pid=
    [ $status -eq 1 ] || die "$1: status $status instead of 1"
    grep -q "$2" "$work/$1.log" || die "$1: the message does not say '$2'"
    last=$(cd "$work/$1" && ls -d step-* 2> /dev/null | sed -n 's/^step-0*\([0-9]*\)$/\1/p' | tail -n 1)
    [ ! -s "$work/$1/metrics.jsonl" ] || [ -n "$last" ] || die "$1: the steps are not saved"
    ok "$transport: $1"
}

change() { # NAME WORDS COMMAND...: the run's data are changed by the command after its first step
    name=$1 words=$2
    shift 2
    cp "$work/corpus.txt" "$work/$name.txt"
    run "$name" data.path="$work/$name.txt"
    until_step "$name"
    "$@" "$work/$name.txt"
    ends "$name" "$words"
}

cut_short() { head -c 1000 "$work/corpus.txt" | dd of="$1" bs=1000 2> /dev/null; }
empty() { : > "$1"; }
grow() { echo more >> "$1"; }
overwrite() { printf changed | dd of="$1" conv=notrunc 2> /dev/null; }

change cut 'cut.txt: was cut short while it was in use: it ends at byte 1000' cut_short

# With the data back the run goes on, and comes to the bits of one that was not disturbed.
cp "$work/corpus.txt" "$work/cut.txt"
for name in cut whole; do
    "$weft" train "$work/run.yaml" run.folder="$work/$name" run.steps=$((last + 3)) optimizer.decay=constant \
        checkpoint.every=0 parallel.pipeline=2 device=reference --resume > "$work/$name.log" 2>&1 || die "$name does not go on"
done
"$weft" compare "$work/cut" "$work/whole" > "$work/compare.log" || die "the resumed run has other bits"
ok "$transport: resumed on the same data"

# Large data, of zeros but for one token, are checked while the run goes on.
head -c 1000 /dev/zero > "$work/large.bin"
printf '\377\377' | dd of="$work/large.bin" bs=1 seek=400000000 conv=notrunc 2> /dev/null || exit 0
run large data.path="$work/large.bin"
ends large 'large.bin: token 65535 at byte 400000000 is outside'

[ "$transport" = local ] || exit 0
change emptied 'emptied.txt: was cut short while it was in use: it ends at byte 0' empty
change grown 'grown.txt: has grown while it was in use, beyond byte' grow
change changed 'changed.txt: was changed while it was in use' overwrite
