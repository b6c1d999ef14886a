#!/bin/sh
# What telling documents apart costs: a training step at T = 2048 of two layers of width 768, with documents of 300 to 900
# tokens that do not see each other, against the same step without. Runs take turns; of each the quickest step counts.
# Usage: bench/documents.sh WEFT [PAIRS]
set -eu
weft=$1 pairs=${2:-5}
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-documents-XXXXXX")
trap 'rm -rf "$work"' EXIT

# A line is a document.
awk 'BEGIN { s = 12345; for (i = 0; i < 400; i++) { s = (s * 1103515 + 12345) % 2147483647; n = 300 + s % 600
  for (k = 0; k < n; k++) { s = (s * 1103515 + 12345) % 2147483647; printf "%c", 97 + s % 26 } printf "\n" } }' > "$work/text.txt"
cat > "$work/run.yaml" <<END
run: {steps: 4, timelines: 0, evaluate_batches: 1}
model: {architecture: llama, layers: 2, width: 768, heads: 12, vocabulary: 256, context: 2048}
data: {path: $work/text.txt, end_of_text: 10}
batch: {microbatches: 1, sequences: 1}
checkpoint: {every: 0}
threads: 1
END

quickest() { # KEYS...: seconds of the quickest step
    rm -rf "$work/run"
    "$weft" train "$work/run.yaml" run.folder="$work/run" "$@" > "$work/out" 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
    sed -n 's/^{"step".*"seconds":\([0-9.e+-]*\).*/\1/p' "$work/run/metrics.jsonl" | sort -g | head -n 1
}

echo
echo "documents of 300 to 900 tokens, T = 2048, width 768, two layers, one thread; ratios of $pairs pairs of runs"
echo "element  documents       step, median  least  most"
for element in ${WEFT_BENCH_ELEMENTS:-fp32 bf16}; do
    for documents in mask mask_and_reset; do
        pair=0
        while [ $pair -lt "$pairs" ]; do
            without=$(quickest element="$element" data.documents=none)
            with=$(quickest element="$element" data.documents=$documents)
            echo "$with $without" | awk '{ printf "%.4f\n", $1 / $2 }'
            pair=$((pair + 1))
        done | sort -g | awk -v e="$element" -v d=$documents \
            '{ r[NR] = $1 } END { printf "%-7s  %-14s  %12.3f  %.3f  %.3f\n", e, d, r[int((NR + 1) / 2)], r[1], r[NR] }'
    done
done
