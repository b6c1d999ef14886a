# For the scripts of this folder: small runs of the built program. Usage: . common.sh WEFT
set -u
weft=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-train-XXXXXX")
trap 'rm -rf "$work"' EXIT
passed=0

die() {
    echo "FAILED: $*" >&2
    for log in "$work"/*.log; do [ -f "$log" ] && { echo "--- $log" >&2; tail -n 15 "$log" >&2; }; done
    exit 1
}

ok() {
    passed=$((passed + 1))
    echo "ok: $*"
}

# A text that a small model can learn: 200 kB of words in a fixed pseudo-random order.
awk 'BEGIN { split("warp weft loom thread shuttle crosses the and over under", w, " "); s = 12345
  for (i = 0; i < 36000; i++) { s = (s * 1103515 + 12345) % 2147483647; printf "%s%s", w[s % 10 + 1], i % 11 == 10 ? "\n" : " " } }' \
    > "$work/corpus.txt"

cat > "$work/run.yaml" <<END
run: {steps: 300, seed: 7}
model: {layers: 4, width: 32, heads: 4, feed_forward: 64, vocabulary: 256, context: 32}
data: {path: $work/corpus.txt}
batch: {microbatches: 4, sequences: 2}
checkpoint: {every: 3, keep: 2}
threads: 1
timeout: 20
END
