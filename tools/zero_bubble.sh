#!/bin/sh
# zero_bubble.sh WEFT: the table of docs/schedules.md that compares kinds with the rates that arXiv 2401.10241 publishes for its
# automatic schedule ZB-2p: times of table 6, rates of table 5.
set -eu
weft=$1

# model, P, M, milliseconds of F, I, W and a hop, rate
rows='1.5B 8 24 18.522 18.086 9.337 0.601 0.0433
1.5B 8 32 18.513 18.086 9.331 0.626 0.0039
1.5B 8 64 18.546 18.097 9.321 0.762 0.0026
6.2B 8 24 29.718 29.444 19.927 0.527 0.0029
6.2B 8 32 29.802 29.428 19.530 0.577 0.0022
6.2B 8 64 29.935 29.621 19.388 0.535 0.0010
14.6B 16 48 11.347 11.248 8.132 0.377 0.0066
14.6B 16 64 11.307 11.254 8.101 0.379 0.0054
14.6B 16 128 11.325 11.308 8.109 0.378 0.0028
28.3B 32 96 10.419 10.207 7.715 0.408 0.0038
28.3B 32 128 10.408 10.204 7.703 0.408 0.0029
28.3B 32 256 10.402 10.248 7.698 0.460 0.0018'

# The share of a rank's own time in which it idles, of a JSON object.
rate() {
    sed -n 's/^  "own_bubble_fraction": \([-0-9.e]*\),$/\1/p'
}

# rate_of KIND LOOPS: of the row in the variables; a stage has its part of the rank's time
rate_of() {
    part() { awk "BEGIN { print $1 / $2 }"; }
    "$weft" simulate "$1" --pipeline "$ranks" --loops "$2" --microbatches "$count" --forward "$(part "$forward" "$2")" \
        --backward-input "$(part "$input" "$2")" --backward-weight "$(part "$weight" "$2")" --comm "$hop" --json | rate
}

# No order has less: the last rank begins its first F behind P - 1 others and runs F and I of all micro-batches, and a W for
# each above the cap, before its last I, which comes back to rank 0 behind P - 1 others. least_rate CAP
least_rate() {
    awk "BEGIN { own = ($ranks - 1) * ($forward + $input + 2 * $hop) + $count * ($forward + $input) + $weight
                 if ($count > $1) own += ($count - $1) * $weight
                 busy = $count * ($forward + $input + $weight); printf \"%.4f\", (own > busy ? 1 - busy / own : 0) }"
}

# The best order that holds as many micro-batches as ZB-2p may, where the case is small enough to be searched; with proof.
searched() {
    "$weft" search --pipeline "$ranks" --microbatches "$count" --memory-cap $((2 * ranks)) --objective own --seconds 600 \
        --forward "$forward" --backward-input "$input" --backward-weight "$weight" --comm "$hop" --json |
        awk -F'[ ,]+' -v busy="$(awk "BEGIN { print $count * ($forward + $input + $weight) }")" '
            /^  "own_step_time"/ { own = $3 }
            /^  "optimal": true/ { proved = 1 }
            END { if (!proved) exit 1; printf "%.4f", 1 - busy / own }'
}

echo '| model | P | M | ZB-2p | least | zb-h2 | zb-v | breadth-first-split | least in 2 P | search |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |'
echo "$rows" | while read -r model ranks count forward input weight hop published; do
    printf '| %s | %s | %s | %s | %s |' "$model" "$ranks" "$count" "$published" "$(least_rate "$count")"
    for kind in 'zb-h2 1' 'zb-v 2' 'breadth-first-split 2'; do printf ' %.4f |' "$(rate_of "${kind% *}" "${kind#* }")"; done
    best=
    if [ "$count" -le 32 ]; then best=$(searched); fi
    printf ' %s | %s |\n' "$(least_rate $((2 * ranks)))" "$best"
done
