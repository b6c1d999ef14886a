#!/bin/sh
# sizes.sh ROOT: files stay under 700 lines, functions at or under 80, and nothing is left to be done later.
set -eu
cd "$1"
find src include tests -name '*.[ch]' -o -name '*.cu' | sort | xargs awk '
    function report(text) { print text; bad = 1 }
    FNR == 1 { if (file != "" && lines >= 700) report(file ": " lines " lines; split it"); file = FILENAME; begin = 0 }
    { lines = FNR }
    /^\{/ { begin = FNR }
    /^\}/ { if (begin && FNR - begin - 1 > 80) report(file ":" begin ": a function of " FNR - begin - 1 " lines"); begin = 0 }
    /TODO|FIXME/ { report(file ":" FNR ": unfinished") }
    END { if (lines >= 700) report(file ": " lines " lines; split it"); exit bad }'
