#!/bin/sh
# random.sh WEFT FOLDER: random argument vectors never crash the program, and every refusal is one line with status 2.
set -eu
weft=$(realpath "$1") files=$(realpath "$2")/files
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r "$files/." "$scratch"
cd "$scratch"

# 300 lines of up to 8 words; a verb leads most of them. train is always a dry run: nothing is to be trained here.
awk 'BEGIN {
    verbs = split("train --dry-run|generate|schedule|verify|simulate|compare|config|help|frobnicate", verb, "|")
    words = split("--pipeline|--loops|--microbatches|--placement|--format|--json|--resume|--prompt|--tokens|--top-k|--seed|" \
        "--temperature|--device|--help|--version|--|-|-x|--=|--format=csv|--pipeline=2|--microbatches=3|0|1|2|3|-1|7e9|nan|" \
        "99999999999999999999|0x10|1.5|csv|text|linear|loop|gpipe|1f1b|depth-first|breadth-first|sequential|train.yaml|" \
        "good.yaml|misspelt.yaml|nothing|.|/dev/null|train|generate|schedule|run.steps=2|run.steps=|=|=1|model.layers=2|" \
        "parallel.pipeline=2|parallel.stages=[1,1]|parallel.stages=[|model.width=999999999|parallel.schedule=two.csv|" \
        "schedules/custom.csv|schedules/deadlock.csv|--memory-cap|--forward|--costs|costs/two.json|--update|1,2|--unit|--svg|--html|--trace|" \
        "threads=1|element=bf16|%s%n|\\|\"|{|\303\251|\377", word, "|")
    srand(20240601)
    for (line = 0; line < 300; line++) {
        text = rand() < 0.9 ? verb[1 + int(rand() * verbs)] : ""
        for (i = int(rand() * 8); i > 0; i--) text = text " " word[1 + int(rand() * words)]
        print text
    }
}' >vectors

count=0
while IFS= read -r line; do
    count=$((count + 1))
    status=0
    set -f
    # shellcheck disable=SC2086 # a list of words
    timeout 60 "$weft" $line >out 2>err </dev/null || status=$?
    set +f
    if [ "$status" -gt 2 ]; then
        echo "weft $line: status $status"
        cat err
        exit 1
    fi
    if [ "$status" = 2 ] && [ "$(wc -l <err)" != 1 ]; then
        echo "weft $line: not one line:"
        cat err
        exit 1
    fi
    if [ "$status" = 2 ] && [ -s out ]; then
        echo "weft $line: refused, but printed something"
        exit 1
    fi
done <vectors
echo "$count argument vectors"
[ "$count" = 300 ]
