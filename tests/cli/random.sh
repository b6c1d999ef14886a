#!/bin/sh
# random.sh WEFT FOLDER: random arguments never crash a verb, and every refusal is one line with status 2. The verbs are
# those that weft help lists, and their options those of their own --help: nothing that is added is left out. --follow is,
# which does not end.
set -eu
weft=$(realpath "$1") files=$(realpath "$2")/files
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r "$files/." "$scratch"
cd "$scratch"
"$weft" train train.yaml run.folder=run >/dev/null 2>&1

"$weft" help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' >verbs
while IFS= read -r verb; do
    "$weft" "$verb" --help |
        sed -n "/^  --follow /d; s/^  --\([a-z-]*\) \([^ ]*\)  .*/$verb \1 \2/p; s/^  --\([a-z-]*\)   .*/$verb \1/p"
done <verbs >options
cat >words <<'END'
-- - -x --= --help --version 0 1 2 3 -1 nan 1e999 99999999999999999999 0x10 1.5 1,2 1,2,1 csv text linear loop v 0,1,1,0
gpipe breadth-first zb-v hybrid optimizer weights cpu reference train help train.yaml good.yaml misspelt.yaml nothing .
/dev/null out run measured schedules/custom.csv schedules/deadlock.csv schedules/of-2024.csv costs/two.json
costs/four.yaml costs/word.yaml plan/cluster.yaml run.steps=2 run.steps= = =1 model.layers=2 model.layers=4 model.width=999999999
parallel.pipeline=2 parallel.data=2 parallel.stages=[1,1] parallel.stages=[ parallel.schedule=two.csv threads=1
element=bf16 microbatch=1,2 microbatch= %s%n \ " {
END
printf '\303\251 \377\n' >>words

# 90 lines a verb, most of them a line that is right and up to 7 words more. What takes time is bounded: train only
# plans, costs are a few microseconds, a search has a second, no number that is right is large.
awk '
function below(n) { state = (state * 16807) % 2147483647; return state % n }
function any() { return word[1 + below(word_count)] }
function value(given) {
    if (below(3) == 0) return any()
    return given ~ /\|/ ? choice[1 + below(split(given, choice, "|"))] : 1 + below(3)
}
function option(verb,   i) {
    i = 1 + below(count[verb])
    if (given[verb, i] == "" || below(8) == 0) return "--" name[verb, i]
    return "--" name[verb, i] (below(2) ? " " : "=") value(given[verb, i])
}
BEGIN {
    state = 20240601
    right["train"] = "train.yaml"; right["evaluate"] = "run"; right["generate"] = "run --prompt ab --tokens 3"; right["compare"] = "run run"
    right["config"] = "train.yaml"; right["timeline"] = "measured"
    right["schedule"] = right["verify"] = "breadth-first --pipeline 2 --microbatches 3"
    right["simulate"] = right["rehearse"] = "1f1b --pipeline 2 --microbatches 3 --forward 1 --backward-input 1"
    right["search"] = "--pipeline 2 --microbatches 2 --placement v"
    right["sweep"] = "train.yaml microbatch=1 --steps 1 --warmup 0"
    right["plan"] = "train.yaml V100-SXM2-16GB --gpus 2 --batch 8"
    first["train"] = "--dry-run"; last["rehearse"] = "--unit us"; last["search"] = "--seconds 1"
}
FILENAME == "verbs" { verbs[++verb_count] = $1 }
FILENAME == "options" { name[$1, ++count[$1]] = $2; given[$1, count[$1]] = $3 }
FILENAME == "words" { for (i = 1; i <= NF; i++) word[++word_count] = $i }
END {
    for (v = 1; v <= verb_count; v++) for (i = 0; i < 90; i++) {
        verb = verbs[v]
        line = verb " " first[verb]
        if (below(4)) line = line " " right[verb]
        for (k = below(8); k > 0; k--) line = line " " (below(2) ? option(verb) : any())
        print line " " last[verb]
    }
    print ""; print "frobnicate"; print "--frobnicate"; print any()
}' verbs options words >vectors

# wrong TEXT: what is wrong about the last line, and what it said
wrong() { echo "weft $line: $1"; cat err; exit 1; } >&2

while IFS= read -r line; do
    status=0
    set -f
    # shellcheck disable=SC2086 # a list of words
    timeout 120 "$weft" $line >out 2>err </dev/null || status=$?
    set +f
    [ "$status" -le 2 ] || wrong "status $status"
    if [ "$status" = 2 ]; then
        [ "$(wc -l <err)" = 1 ] || wrong "not one line"
        # What weft verify refuses by its proof it says by --json, too.
        [ ! -s out ] || grep -q '^{"verified": false' out || wrong "refused, but printed something"
    fi
    echo "${line%% *} $status"
done <vectors >ends

# Every verb was refused, and every one went through.
while IFS= read -r verb; do
    for status in 0 2; do
        grep -qx "$verb $status" ends || { echo "no arguments of $verb ended with status $status"; exit 1; }
    done
done <verbs
count=$(wc -l <ends)
echo "$count argument vectors of $(wc -l <verbs) verbs"
[ "$count" -gt 500 ]
