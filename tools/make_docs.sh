#!/bin/sh
# make_docs.sh WEFT PAGES OUT: what weft itself tells in the pages. Copies schedules.md, search.md and breadth-first.md from
# folder PAGES to folder OUT with their generated parts written anew, and draws OUT/pictures. The two folders may be the same.
set -eu
weft=$1 pages=$2 out=$3
P=4 M=8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out/pictures"

# Every kind: stages a rank, flags, then bubble and memory as the page has them: the formula, and as awk computes it. A
# span is a bubble from a rank's own start to its own end, a step one of the whole step.
kinds='
sequential|1||step|P - 1|P-1|V|V
gpipe|1||step|(P - 1) / M|(P-1)/M|M V|M*V
1f1b|1||step|(P - 1) / M|(P-1)/M|min(M, P) V|P*V
depth-first|2||step|(P - 1) / (M V)|(P-1)/(M*V)|at most (V - 1) K + 2 P - 1|(V-1)*P+2*P-1
breadth-first|2||step|(P - 1) / (M V)|(P-1)/(M*V)|M V|M*V
breadth-first-descending|2||step|(P - 1) / (M V)|(P-1)/(M*V)|M V|M*V
hybrid|2|--group 8|step|(P - 1) / (M V)|(P-1)/(M*V)|at most (V - 1) K + 2 P - 1|(V-1)*8+2*P-1
zb-h1|1||span|(P - 1)(F + I - W) / (M (F + I + W))|(P-1)*(F+I-W)/(M*(F+I+W))|min(M, P) V|P*V
zb-h2|1||span|(P - 1)(F + I - 2 W) / (M (F + I + W))|(P-1)*(F+I-2*W)/(M*(F+I+W))|(2 P - 1) V|(2*P-1)*V
interleaved-zero-bubble|2||span|(P - 1)(F + I - W) / (M V (F + I + W))|(P-1)*(F+I-W)/(M*V*(F+I+W))|(V - 1) K + P|(V-1)*P+P
breadth-first-split|2||span|(P - 1)(F + I - 2 W) / (M V (F + I + W))|(P-1)*(F+I-2*W)/(M*V*(F+I+W))|(V - 1) M + 2 P - 1|(V-1)*M+2*P-1
zb-v|2||span|0|0|2 min(M, P)|2*P
v-half|2||span|(P - 1) / (2 M)|(P-1)/(2*M)|at most P + 2|P+2
v-min|2||span|2 (P - 1) / (3 M), a pass more or less|2*(P-1)/(3*M)|at most 2 floor((P + 1) / 3) + 2|2*int((P+1)/3)+2
dualpipe-v|2||span|(P - 1)(F&B + I - 2 W) / (2 M (F + I + W))|(P-1)*(F+I+W+I-2*W)/(2*M*(F+I+W))|2 P + 1|2*P+1
'

# Kinds with -gaps are others where P does not divide M only: they have a table.
known=$("$weft" simulate --help | sed '1,/^kinds:/d' | awk '$1 !~ /-gaps$/ { print $1 }' | sort)
listed=$(printf '%s' "$kinds" | sed '/^$/d; s/|.*//' | sort)
[ "$known" = "$listed" ] || { echo "make_docs.sh: lists kinds other than those there are" >&2; exit 1; }

# figures FILE.json span|step: the step time, the bubble over compute time, the bubble as a share of the step, most held
figures() {
    awk -v which="$2" '
        function number(key) { match($0, "\"" key "\": *[-0-9.e]+"); return substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0 }
        /"step_time"/ && !/own/ { step = number("step_time") }
        /"own_step_time"/ { longest = number("own_step_time") }
        /"bubble_fraction"/ && !/own/ { share = number("bubble_fraction") }
        /"peak_activations"/ { gsub(/.*\[|\].*/, ""); n = split($0, held, ", "); for (i = 1; i <= n; i++) if (held[i] + 0 > most) most = held[i] + 0 }
        /"busy"/ { busy = number("busy") }
        END { printf "%g|%.4g|%.1f|%d\n", step, (which == "span" ? longest : step) / busy - 1, 100 * share, most }' "$1"
}

# Both parts below read: kind|loops|flags|which|formula|value|formula|value|step|bubble|share|held
printf '%s' "$kinds" | sed '/^$/d' | while IFS='|' read -r kind loops flags which bubble bubble_value held held_value; do
    cost=$(awk "BEGIN { print 1 / $loops }")
    # shellcheck disable=SC2086 # flags are words
    "$weft" simulate "$kind" --pipeline $P --loops "$loops" --microbatches $M $flags --forward "$cost" \
        --backward-input "$cost" --backward-weight "$cost" --json --svg "$out/pictures/$kind.svg" >"$work/$kind.json"
    values=$(awk "BEGIN { P = $P; M = $M; V = $loops; F = I = W = 1 / V; printf \"%.4g|%d\", $bubble_value, $held_value }")
    echo "$kind|$loops|$flags|$which|$bubble|${values%|*}|$held|${values#*|}|$(figures "$work/$kind.json" "$which")"
done >"$work/rows"

{
    echo '| kind | V | step | idle share | bubble by formula | simulated | held by formula | simulated |'
    echo '| --- | --- | --- | --- | --- | --- | --- | --- |'
    awk -F'|' '{ printf "| [%s](#%s) | %s | %s s | %s %% | %s | %s | %s | %s |\n", $1, $1, $2, $9, $11, $6, $10, $8, $12 }' \
        "$work/rows"
    awk -F'|' '{
        printf "\n### %s\n\n![%s at P = 4, M = 8](pictures/%s.svg)\n\n", $1, $1, $1
        printf "Bubble%s: %s", $4 == "span" ? ", own start to own end" : "", $5
        if ($5 != $6) printf " = %s", $6
        printf "; simulated %s. Held: %s = %s; simulated %s.\n", $10, $7, $8, $12
    }' "$work/rows"
} >"$work/pictures"

# search_row P CAP FLAG...: with M = 2 P
search_row() {
    ranks=$1 cap=$2
    shift 2
    "$weft" search --pipeline "$ranks" --microbatches $((2 * ranks)) --memory-cap "$cap" --seconds 600 "$@" |
        awk -v sizes="$ranks | $((2 * ranks)) | $cap" '
            /^step/ { step = $2; sub(/,$/, "", step); proved = /proved/ }
            $4 == "%" && ++seen <= 2 { kinds = kinds (seen == 2 ? ", " : "") "`" $1 "` " $3 " %" }
            END { printf "| %s | %s | %s |\n", sizes, step, kinds; exit !proved }'
}

{
    echo '| P | M | cap | least time | nearest kinds, and how far above it |'
    echo '| --- | --- | --- | --- | --- |'
    for ranks in 2 3 4; do
        for cap in $((ranks - 1)) $ranks $((ranks + 1)) $((2 * ranks - 1)); do
            [ "$ranks-$cap" != "${last:-}" ] || continue
            last=$ranks-$cap
            search_row "$ranks" "$cap" --comm 0.1
        done
    done
} >"$work/one"
{
    echo '| P | M | cap | least time | nearest kinds, and how far above it |'
    echo '| --- | --- | --- | --- | --- |'
    for sizes in '2 3' '2 4' '3 4' '3 5' '3 6' '4 6' '4 7' '4 8'; do
        search_row "${sizes% *}" "${sizes#* }" --loops 2 --placement v
    done
} >"$work/two"

# part NAME LINES PAGE OUT: PAGE, with the lines between the marks of that name from the file LINES
part() {
    awk -v name="$1" -v file="$2" '
        $0 == "<!-- " name ": written by make docs -->" { print; while ((getline line < file) > 0) print line; skip = 1; found = 1 }
        $0 == "<!-- end -->" { skip = 0 }
        !skip { print }
        END { exit !found }' "$3" >"$work/page" || { echo "make_docs.sh: $3 has no place for $1" >&2; exit 1; }
    cp "$work/page" "$4"
}
# ragged_row P V M: steps and most held of both pairs
ragged_row() {
    printf '| %s | %s | %s |' "$1" "$2" "$3"
    for kind in depth-first interleaved-zero-bubble; do
        for gaps in '' -gaps; do
            "$weft" simulate $kind$gaps --pipeline "$1" --loops "$2" --microbatches "$3" --json >"$work/ragged-row"
            figures "$work/ragged-row" step | awk -F'|' '{ printf " %s, %s |", $1, $4 }'
        done
    done
    echo
}

{
    echo '| P | V | M | `depth-first`: step, held | with gaps | `interleaved-zero-bubble` | with gaps |'
    echo '| --- | --- | --- | --- | --- | --- | --- |'
    for sizes in '4 2 5' '4 2 6' '4 2 7' '4 2 9' '4 2 11' '4 2 22' '8 4 9' '8 4 12' '8 4 15' '8 4 20' '8 4 36'; do
        # shellcheck disable=SC2086 # three words
        ragged_row $sizes
    done
} >"$work/ragged"

{
    echo '| P | `v-half` | `v-min` |'
    echo '| --- | --- | --- |'
    for ranks in 4 5 6 8 16 32; do
        printf '| %s |' $ranks
        for kind in v-half v-min; do
            "$weft" simulate $kind --pipeline $ranks --microbatches $((4 * ranks)) --json >"$work/held-row"
            figures "$work/held-row" step | awk -F'|' -v all=$((2 * ranks)) '{ printf " %d of %d: %.3f |", $4, all, $4 / all }'
        done
        echo
    done
} >"$work/held"
"$(dirname "$0")/zero_bubble.sh" "$weft" >"$work/published"

"$weft" simulate "$pages/../examples/custom.csv" --svg "$out/pictures/custom.svg" >"$work/custom"
page=$pages/schedules.md
for name in pictures ragged held published; do
    part $name "$work/$name" "$page" "$out/schedules.md"
    page=$out/schedules.md
done
part one "$work/one" "$pages/search.md" "$out/search.md"
part two "$work/two" "$out/search.md" "$out/search.md"

# Sharded: two stages a rank, and room for the weights and gradients of one.
for kind in breadth-first 1f1b; do
    "$weft" simulate $kind --pipeline $P --loops 2 --microbatches $M --data 2 --shard weights --buffers 1 --reduce-early \
        --forward 10 --backward-input 10 --backward-weight 10 --comm 1 --gather 10 --reduce 20 --unit ms \
        --svg "$out/pictures/sharded-$kind.svg" >"$work/sharded"
done
page=$pages/breadth-first.md
for name in narrow roomy wide hidden; do
    "$(dirname "$0")/breadth_first.sh" "$weft" simulated $name >"$work/$name"
    part $name "$work/$name" "$page" "$out/breadth-first.md"
    page=$out/breadth-first.md
done
