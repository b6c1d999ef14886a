#!/bin/sh
# large.sh WEFT: a hundred million actions end within a minute and within 12 GiB, at the step that the formula states:
# (V max(M, P) + min(M, P) - 1) times F and B, of arXiv 2211.05953.
set -eu
out=$(ulimit -v 12582912 && timeout 60 "$1" simulate breadth-first --pipeline 4096 --loops 8 --microbatches 512 --json)
echo "$out" | grep -q '"actions": 100661248,' || { echo "$out" | head -n 12; exit 1; }
echo "$out" | grep -q '"step_time": 99837,' || { echo "$out" | head -n 12; exit 1; }
