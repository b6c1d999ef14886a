#!/bin/sh
# sizes.sh ROOT: files stay at or under 600 lines, functions at or under 60, and nothing is left to be done later.
# Proves first, on a tree of its own, that it notices.
set -eu

# Prints what is wrong below the folders.
wrong_sizes() {
    find "$@" -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | sort | xargs awk '
        function check_file() { if (file != "" && lines > 600) print file ": " lines " lines; split it" }
        FNR == 1 { check_file(); file = FILENAME; begin = 0 }
        { lines = FNR }
        /^\{/ { begin = FNR }
        /^\}/ {
            if (begin && FNR - begin - 1 > 60) print file ":" begin ": a function of " FNR - begin - 1 " lines"
            begin = 0
        }
        /TODO|FIXME/ { print file ":" FNR ": unfinished" }
        END { check_file() }'
}

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
# expect COUNT LINE YES|NO: whether a function of so many lines like this one is noticed
expect() {
    awk -v count="$1" -v line="$2" '
        BEGIN { print "int f(void)\n{"; while (count-- > 0) print line; print "}" }' >"$trial/a.c"
    found=NO
    [ -z "$(wrong_sizes "$trial")" ] || found=YES
    [ "$found" = "$3" ] || { echo "the checker itself is wrong about $1 lines of $2"; exit 1; }
}
expect 60 '    g();' NO
expect 61 '    g();' YES
expect 1 '    /* TO''DO */' YES
expect 620 '}' YES

cd "$1"
found=$(wrong_sizes src include tests)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
