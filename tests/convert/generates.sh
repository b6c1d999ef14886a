#!/bin/sh
# generates.sh WEFT FOLDER: the greedy tokens of transformers (tools/transformers_models.py), with keys and values kept and
# without, on both devices that compute, and beyond the model's context, where the window is computed anew.
set -eu
export OMP_WAIT_POLICY=passive # threads that wait actively for each other take a busy machine's time, not a test's
weft=$(realpath "$1") oracles=$(realpath "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
bytes() { # bytes MODEL WORD: the numbers behind a word of numbers.txt; these models are of bytes
    sed -n "s/^$2 //p" "$oracles/$1/numbers.txt" | LC_ALL=C awk '{ for (i = 1; i <= NF; i++) printf "%c", $i + 0 }'
}
for path in "$oracles"/*; do
    model=${path##*/}
    "$weft" import "$path" --out "$model" >/dev/null
    bytes "$model" prompt >begin
    bytes "$model" greedy >end
    { cat begin end && echo; } >wanted
    for how in '--device cpu' '--device reference' --no-cache; do
        # shellcheck disable=SC2086 # words
        "$weft" generate "$model" $how --prompt - --tokens "$(wc -c <end)" --temperature 0 <begin >out 2>notes || cat notes
        cmp out wanted || { echo "$model $how: other tokens than those of transformers" && exit 1; }
        # The window moves on, which is said once where keys and values were kept until then.
        [ "$(grep -c 'computed anew' notes)" = "$([ "$how" = --no-cache ] && echo 0 || echo 1)" ] || {
            echo "$model $how: $(cat notes)" && exit 1
        }
    done
done
