#!/bin/sh
# Killed twenty times at random moments, each time resumed in another layout: the checkpoint of an uninterrupted run.
. "$(dirname "$0")/common.sh"

"$weft" train "$work/run.yaml" run.folder="$work/whole" > "$work/whole.log" 2>&1 || die "the uninterrupted run"

layout() {
    case $(($1 % 5)) in
        0) echo "parallel.pipeline=2 parallel.loops=2 parallel.schedule=breadth-first" ;;
        1) echo "parallel.pipeline=4 parallel.schedule=1f1b" ;;
        2) echo "parallel.pipeline=1 parallel.schedule=gpipe recompute=full" ;;
        3) echo "parallel.pipeline=2 parallel.loops=2 parallel.schedule=depth-first" ;;
        4) echo "parallel.pipeline=3 parallel.schedule=sequential" ;;
    esac
}

killed=0
i=0
while [ $i -lt 20 ]; do
    # shellcheck disable=SC2046 # the layout is several words
    "$weft" train "$work/run.yaml" run.folder="$work/cut" $(layout $i) --resume > "$work/cut.log" 2>&1 &
    child=$!
    sleep "$(awk -v i=$i 'BEGIN { srand(i + 1); rand(); printf "%.3f", 0.15 + 0.45 * rand() }')"
    kill -KILL $child 2>/dev/null && killed=$((killed + 1))
    wait $child 2>/dev/null
    i=$((i + 1))
done
[ $killed -gt 5 ] || die "only $killed of 20 runs were still alive when killed: make the run longer"
"$weft" train "$work/run.yaml" run.folder="$work/cut" --resume > "$work/last.log" 2>&1 || die "the last resume"
"$weft" compare "$work/whole" "$work/cut" > "$work/compare.log" 2>&1 || die "the checkpoints differ"
lines=$(grep -c '"loss"' "$work/cut/metrics.jsonl")
[ "$lines" -eq "$(grep -c '"loss"' "$work/whole/metrics.jsonl")" ] || die "metrics.jsonl has $lines lines after the resumes"
ok "killed $killed times, resumed, the same bits"
