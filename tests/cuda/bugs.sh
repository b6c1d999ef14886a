#!/bin/sh
# bugs.sh PLAIN RACES SEEDS: every mistake of bugs.def, made in the scenes, with so many seeds each; RACES may be ''.
# A mistake has to show as its row says: in some way at least, and what is none, in no way.
set -eu
plain=$1 races=$2 seeds=$3
export WEFT_EMULATOR_GPUS=3
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

# run MODE BUG SEED: the letter of how it ends, and the bits of what came out
run() {
    program=$plain streams=eager threads=up
    case $1 in
    lazy) streams=lazy threads=random ;;
    races) program=$races ;;
    esac
    status=0
    WEFT_EMULATOR_SEED=$3 WEFT_EMULATOR_STREAMS=$streams WEFT_EMULATOR_THREADS=$threads \
        "$program" "$2" >"$found/out" 2>"$found/err" || status=$?
    case $status in
    0) letter=R ;;
    1) letter=W ;;
    2) letter=E ;;
    66) letter=T ;;
    98) letter=F ;;
    99) letter=M ;;
    *) letter="status $status" ;;
    esac
    printf '%s %s\n' "$letter" "$(sed -n 's/^bits \([0-9a-f]*\),.*/\1/p' "$found/out")"
}

# agrees WANTED: whether the lines on standard input, one a seed, are what the row says
agrees() {
    awk -v wanted="$1" '
        { kinds[$1]++; if (!($2 in bits)) { bits[$2]; different++ } }
        END {
            if (wanted == "B") exit !(kinds["R"] == NR && (NR < 4 || different > 1))
            if (wanted == "S") exit !(!("status" in kinds) && (NR < 4 || kinds["R"] < NR))
            exit !(kinds[wanted] == NR && (wanted != "R" || different == 1))
        }'
}

failures=0
check() { # check MODE BUG WANTED
    seed=0
    while [ "$seed" -lt "$seeds" ]; do
        seed=$((seed + 1))
        run "$1" "$2" "$seed"
    done >"$found/$1"
    agrees "$3" <"$found/$1" && return
    failures=$((failures + 1))
    printf '%s, %s: %s was to be seen, there was\n' "$2" "$1" "$3"
    cat "$found/$1"
    tail -n 20 "$found/err"
}

"$plain" list >"$found/list"
while read -r bug scene eager lazy race text; do
    case "$bug $eager$lazy$race" in
    'none RRR') ;;
    none* | *' RRR') echo "$bug, in $scene: the row of '$text' says that nothing finds it" && failures=$((failures + 1)) ;;
    esac
    check eager "$bug" "$eager"
    check lazy "$bug" "$lazy"
    [ -z "$races" ] || check races "$bug" "$race"
done <"$found/list"
echo "$(wc -l <"$found/list") mistakes, $seeds seeds, $failures not seen as they should be"
[ "$failures" = 0 ]
