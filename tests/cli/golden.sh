#!/bin/sh
# golden.sh WEFT FOLDER [--update] [CASE ...]: runs every FOLDER/cases/CASE.cmd and compares standard output, standard
# error and exit status with CASE.out, CASE.err and CASE.status (absent: empty, empty, 0). --update writes them.
# A command runs in a scratch copy of FOLDER/files and finds weft on its PATH; $ROOT is the source tree.
set -eu
weft=$(realpath "$1") folder=$(realpath "$2")
shift 2
update=no
if [ "${1:-}" = --update ]; then
    update=yes
    shift
fi
ROOT=$(realpath "$folder/../..")
export ROOT
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
ln -s "$weft" "$scratch/bin/weft"

# keep FILE TARGET: a golden file, absent when empty
keep() {
    if [ -s "$1" ]; then cp "$1" "$2"; else rm -f "$2"; fi
}

# same ACTUAL EXPECTED: absent means empty
same() {
    if [ -e "$2" ]; then diff -u "$2" "$1"; else diff -u /dev/null "$1"; fi
}

run_case() {
    golden=$folder/cases/$1
    rm -rf "$scratch/files"
    cp -r "$folder/files" "$scratch/files"
    status=0
    (cd "$scratch/files" && PATH="$scratch/bin:$PATH" sh "$golden.cmd") >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
    if [ "$status" = 0 ]; then : >"$scratch/status"; else echo "$status" >"$scratch/status"; fi
    for part in out err status; do
        if [ "$update" = yes ]; then keep "$scratch/$part" "$golden.$part"
        else same "$scratch/$part" "$golden.$part" || return 1; fi
    done
}

if [ $# = 0 ]; then
    for file in "$folder"/cases/*.cmd; do set -- "$@" "$(basename "$file" .cmd)"; done
fi
failed=0 count=0
for case in "$@"; do
    count=$((count + 1))
    run_case "$case" || { echo "case $case failed: $(cat "$folder/cases/$case.cmd")"; failed=$((failed + 1)); }
done
echo "$count cases, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" = 0 ]
