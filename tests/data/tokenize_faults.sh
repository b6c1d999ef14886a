#!/bin/sh
# tokenize_faults.sh WEFT TOKENIZER KILLS: weft tokenize on a full disk, killed at random moments, and told to stop while a
# pipe gives nothing. A full disk is one
# line and status 1; whatever ended it, the same command goes on and ends with the bytes that it has undisturbed, and
# until then nothing that is not complete has its final name.
set -u
weft=$1 tokenizer=$2 kills=$3
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-tokenize-XXXXXX")
trap 'rm -rf "$work"' EXIT

die() {
    echo "FAILED: $*" >&2
    [ ! -f "$work/log" ] || cat "$work/log" >&2
    exit 1
}

# A pipe that somebody holds open and writes nothing to: one signal is enough, whether a document has begun or not. The lock
# is there once signals are caught.
mkfifo "$work/pipe"
exec 9<> "$work/pipe"
for text in '' 'the warp and the weft '; do
    "$weft" tokenize --tokenizer "$tokenizer" --no-end-of-text --out "$work/piped" - < "$work/pipe" > "$work/log" 2>&1 9>&- &
    process=$! waited=0
    while [ ! -e "$work/piped.lock.part" ]; do
        waited=$((waited + 1))
        [ $waited -lt 600 ] || die "does not begin"
        sleep 0.1
    done
    printf '%s' "$text" >&9
    sleep 0.3
    kill -TERM $process
    wait $process
    status=$?
    [ $status = 1 ] || die "told to stop in front of a silent pipe: status $status"
    grep -q '^stopped: the same command goes on behind 0 documents$' "$work/log" || die "a silent pipe: other words"
    [ -z "$(find "$work" -name 'piped.*')" ] || die "a silent pipe: something is left: $(ls "$work")"
done
exec 9>&-
echo "ok: told to stop in front of a silent pipe"

# 128 MB of lines in two files: two places to go on from, the first in the middle of a file that is one document.
awk 'BEGIN { split("warp weft loom thread shuttle crosses the and over under", w, " "); s = 12345
  for (i = 0; i < 180000; i++) { s = (s * 1103515 + 12345) % 2147483647; printf "%s%s", w[s % 10 + 1], i % 11 == 10 ? "\n" : " " } }' \
    > "$work/part"
mkdir "$work/texts"
cat "$work/part" "$work/part" "$work/part" "$work/part" "$work/part" "$work/part" "$work/part" "$work/part" > "$work/more"
cat "$work/more" "$work/more" "$work/more" "$work/more" "$work/more" "$work/more" > "$work/texts/short"
cat "$work/more" "$work/more" "$work/more" "$work/more" "$work/texts/short" > "$work/texts/long"
size=$(cat "$work/texts/long" "$work/texts/short" | wc -c)
[ "$size" -gt 120000000 ] || die "only $size bytes of text"

tokenize() { # PREFIX [exec], with $options
    # shellcheck disable=SC2086 # a list of words
    ${2:-} "$weft" tokenize --tokenizer "$tokenizer" --no-end-of-text $options --out "$work/$1" --threads 2 "$work/texts"
}

same() { # PREFIX: as the undisturbed one, and nothing else is left
    for file in "$work/$whole".*; do cmp "$file" "$work/$1.${file##*.}" || die "$1: $2"; done
    left=$(find "$work" -name "$1.*" | wc -l)
    [ "$left" = "$(find "$work" -name "$whole.*" | wc -l)" ] || die "$1: something is left: $(ls "$work")"
}

# A limit on the size of a file is a full disk: behind a place to go on from (80 % of the tokens), or in front of any.
fill_up() { # PERCENT
    tokens=$(wc -c < "$work/$whole.bin")
    ( ulimit -f $((tokens * $1 / 51200)); tokenize full > "$work/out" 2> "$work/log" )
    status=$?
    [ $status = 1 ] || die "a full disk ended with status $status"
    [ "$(wc -l < "$work/log")" = 1 ] || die "a full disk: more than one line"
    grep -q 'full.bin.part: cannot write' "$work/log" || die "a full disk: the line does not say what"
    if [ -e "$work/full.bin" ] || [ -e "$work/full.idx" ]; then die "a full disk: something has its final name"; fi
    if [ "$1" = 80 ]; then [ -e "$work/full.progress" ] || die "a full disk: no place to go on from"; fi
    tokenize full > "$work/log" 2>&1 || die "gone on after a full disk"
    same full "other bytes after a full disk at $1 %"
    rm -f "$work"/full.*
    echo "ok: a full disk at $1 %, $whole"
}

options="--pack 64" whole=packed
tokenize packed > "$work/log" 2>&1 || die "undisturbed, packed"
fill_up 80
options='' whole=whole begin=$(date +%s.%N)
tokenize whole > "$work/log" 2>&1 || die "undisturbed"
seconds=$(echo "$begin $(date +%s.%N)" | awk '{ print $2 - $1 }')

fill_up 80
fill_up 20

killed=0 round=0
while [ $killed -lt "$kills" ]; do
    round=$((round + 1))
    [ $round -le $((4 * kills)) ] || die "$killed kills in $round rounds"
    tokenize cut exec > "$work/log" 2>&1 &
    process=$!
    sleep "$(awk -v i="$round" -v s="$seconds" 'BEGIN { srand(i); rand(); printf "%.3f", s * rand() }')"
    kill -9 $process 2> /dev/null
    wait $process 2> /dev/null
    status=$?
    if [ $status = 137 ]; then killed=$((killed + 1)); elif [ $status != 0 ]; then die "status $status in round $round"; fi
    if [ -e "$work/cut.idx" ]; then
        cmp "$work/whole.bin" "$work/cut.bin" || die "round $round: other bytes"
        rm -f "$work"/cut.*
    fi
done
[ -e "$work/cut.idx" ] || tokenize cut > "$work/log" 2>&1 || die "gone on after kills"
same cut "other bytes after $killed kills"
echo "ok: killed $killed times in $round rounds"
