#!/bin/sh
# peers.sh ROOT: the tables of recorded results are those of peers.md: medians, ratios of one piece, of several pieces the
# middle one, the best contender, and no row without weft beside it. What names no contender, or no results, is refused.
set -eu
here=$1/tests/tools
python3 -B "$1/tools/peers/table.py" "$here/peers.csv" | diff "$here/peers.md" -

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
expect() { # STATUS COMMAND...
    status=0
    wanted=$1
    shift
    "$@" >"$work/out" 2>&1 || status=$?
    [ "$status" = "$wanted" ] || { cat "$work/out"; echo "status $status, not $wanted: $*"; exit 1; }
}
head -n 1 "$here/peers.csv" >"$work/none.csv"
expect 2 python3 -B "$1/tools/peers/table.py" "$work/none.csv"
expect 2 python3 -B "$1/tools/peers/run.py" weft "$work" --only 'no-such-row'
expect 0 python3 -B "$1/tools/peers/run.py" weft "$work" --list
[ -z "$(sort "$work/out" | uniq -d)" ] || { echo "two contenders have one name"; exit 1; }
grep -qx pipeline-bf16-ZBVZeroBubble-pure-eager-weft "$work/out"
