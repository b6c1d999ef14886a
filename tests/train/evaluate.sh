#!/bin/sh
# weft evaluate: processes give the same line and the same logits as threads; what is wrong is one line with status 2.
# Usage: evaluate.sh WEFT [mpi]
. "$(dirname "$0")/common.sh"
transport=${2:-local}

"$weft" train "$work/run.yaml" run.steps=3 data.held_out=0.005 run.folder="$work/run" > "$work/run.log" 2>&1 || die "a run"

# evaluated NAME ARGUMENTS...: what it prints, and its logits
evaluated() {
    name=$1
    shift
    # shellcheck disable=SC2086 # a list of words
    "$@" evaluate "$work/run" --json --logits "$work/$name.logits" $keys > "$work/$name.json" 2> "$work/$name.log" ||
        die "$name: status $?"
}

keys=
evaluated one "$weft"
if [ "$transport" = mpi ]; then
    keys='parallel.pipeline=2 parallel.data=2 batch.microbatches=2 transport=mpi'
    evaluated other mpirun -n 4 "$weft"
else
    keys='parallel.pipeline=2 parallel.loops=2 parallel.data=2 batch.microbatches=2'
    evaluated other "$weft"
fi
cmp "$work/one.json" "$work/other.json" || die "another layout gives another loss"
cmp "$work/one.logits" "$work/other.logits" || die "another layout gives other logits"
[ ! -e "$work/one.logits.tmp" ] && [ ! -e "$work/other.logits.tmp" ] || die "a file of logits is left aside"
ok "$transport: the same bits"
[ "$transport" = local ] || exit 0

# refused NAME PATTERN ARGUMENTS...
refused() {
    name=$1 pattern=$2
    shift 2
    "$weft" evaluate "$@" > "$work/$name.out" 2> "$work/$name.log"
    status=$?
    [ $status -eq 2 ] || die "$name: status $status instead of 2"
    grep -q "$pattern" "$work/$name.log" || die "$name: the message does not say '$pattern'"
    [ "$(wc -l < "$work/$name.log")" -eq 1 ] && [ ! -s "$work/$name.out" ] || die "$name: more than one line"
    ok "$name"
}

refused no-run 'no such checkpoint' "$work/none"
refused model "the model is that of" "$work/run" model.layers=2
refused layout 'parallel.tensor: 3 workers cannot divide' "$work/run" parallel.tensor=3
refused no-data 'no-such-file' "$work/run" data.path="$work/no-such-file"
refused held-out 'nothing is held out' "$work/run" data.held_out=0

# All of a file that is named, in blocks; a share of it where that is said.
head -c 3201 "$work/corpus.txt" > "$work/part.txt"
"$weft" evaluate "$work/run" data.path="$work/part.txt" --json > "$work/part.json" || die "a part"
grep -q '"tokens": 3200,' "$work/part.json" || die "not all of the data is evaluated: $(cat "$work/part.json")"
"$weft" evaluate "$work/run" data.path="$work/part.txt" data.held_out=0.5 --json > "$work/half.json" || die "a half"
grep -q '"tokens": 1600,' "$work/half.json" || die "not half of the data is evaluated: $(cat "$work/half.json")"
ok "all of the data, or a share"
echo "$passed passed"
