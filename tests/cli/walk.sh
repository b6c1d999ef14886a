#!/bin/sh
# walk.sh WEFT ROOT: runs the commands of docs/custom-schedules.md in a copy of examples/ and compares what they print with
# the page. A command is an indented line that begins with "$"; indented lines behind it are what it prints, and a line
# "..." stands for any lines.
set -eu
weft=$(realpath "$1") root=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/steps"
ln -s "$weft" "$work/bin/weft"
cp -r "$root/examples" "$work/examples"
yes "$root/tests/cli/files/corpus.txt" | head -n 20 | xargs cat >"$work/examples/kjv.txt"

awk -v steps="$work/steps" '
    function finish() { blank = 0; if (file != "") close(file ".want"); file = "" }
    /^    [$] / { finish(); file = sprintf("%s/%03d", steps, ++count); print substr($0, 7) >(file ".cmd"); close(file ".cmd")
                  printf "" >(file ".want"); next }
    /^    / && file != "" { while (blank) { print "" >(file ".want"); blank-- } print substr($0, 5) >(file ".want"); next }
    /^$/ && file != "" { blank++; next }
    { finish() }' "$root/docs/custom-schedules.md"

# same WANT GOT: whether they agree
same() {
    awk -v want="$1" '
        BEGIN { while ((getline line < want) > 0) wanted[++count] = line; at = 1 }
        wanted[at] == "..." && at < count && $0 == wanted[at + 1] { at += 2; next }
        wanted[at] == "..." { next }
        at > count || $0 != wanted[at] { print "printed: " $0; print "wanted:  " wanted[at]; bad = 1; exit }
        { at++ }
        END { if (wanted[at] == "...") at++; if (!bad && at <= count) { print "missing: " wanted[at]; bad = 1 } exit bad }' "$2"
}

cd "$work/examples"
"$weft" train custom.yaml --dry-run >/dev/null 2>&1 || echo 'device: reference' >>custom.yaml # a build without oneDNN
count=0
for command in "$work"/steps/*.cmd; do
    PATH="$work/bin:$PATH" sh "$command" >"$work/got" 2>&1 </dev/null || true
    same "${command%.cmd}.want" "$work/got" || { echo "in: $(cat "$command")"; cat "$work/got"; exit 1; }
    count=$((count + 1))
done
echo "$count commands"
[ "$count" -gt 10 ]
