#!/bin/sh
# Times `weft train --dry-run` of ever more layers and ranks: seconds, and how many times those of half as many.
# Usage: bench/growth.sh WEFT
set -eu
weft=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-growth-XXXXXX")
trap 'rm -rf "$work"' EXIT
awk 'BEGIN { for (i = 0; i < 2000; i++) printf "some text to plan for " }' > "$work/text.txt"
cat > "$work/growth.yaml" <<END
model: {width: 16, heads: 2, context: 16}
data: {path: $work/text.txt}
run: {folder: $work/run}
END

now() {
    date +%s.%N
}

# grow LABEL KEY...: doubles these keys from 4096 to 65536.
grow() {
    label=$1 before=
    shift
    for size in 4096 8192 16384 32768 65536; do
        arguments=
        for key; do arguments="$arguments $key=$size"; done
        begin=$(now)
        # shellcheck disable=SC2086 # a list of words
        "$weft" train "$work/growth.yaml" --dry-run $arguments > "$work/out"
        seconds=$(echo "$begin $(now)" | awk '{ print $2 - $1 }')
        awk -v l="$label" -v n=$size -v s="$seconds" -v b="${before:-0}" \
            'BEGIN { printf "%-18s  %6d  %7.2f  %s\n", l, n, s, (b > 0 ? sprintf("%.2f", s / b) : "") }'
        before=$seconds
    done
}

echo
echo "planning, weft train --dry-run"
echo "what                   size  seconds  times half as many"
grow layers model.layers
grow ranks parallel.pipeline
grow "layers and ranks" model.layers parallel.pipeline
