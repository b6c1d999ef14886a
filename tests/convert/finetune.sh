#!/bin/sh
# finetune.sh WEFT MAKE: a folder is imported, trained on one worker and on two under breadth-first, with the same bits,
# and exported; other data than none is no contradiction.
set -eu
weft=$(realpath "$1") make=$(realpath "$2")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$make" "$folder" qwen3
awk 'BEGIN { for (i = 0; i < 800; i++) printf "%c%c%c%c", (i * 7 + int(i / 5)) % 23, 0, 0, 0 }' >tokens.bin
train() { # train RUN KEY=VALUE ...
    run=$1
    shift
    "$weft" train "$run/config.yaml" data.path=tokens.bin data.format=uint32 data.held_out=0.1 run.steps=3 batch.microbatches=2 \
        optimizer.learning_rate=1e-2 run.timelines=0 threads=1 device=reference --resume "$@" >"$run.log" 2>&1 || {
        cat "$run.log"
        exit 1
    }
}
"$weft" import qwen3 --out one >/dev/null
"$weft" import qwen3 --out two >/dev/null
"$weft" compare one two >/dev/null
train one parallel.pipeline=1
train two parallel.pipeline=2 parallel.schedule=breadth-first
! grep -q 'bits differ' two.log || { cat two.log; exit 1; }
"$weft" compare one two
"$weft" export two --to out --element bf16
"$weft" import out --out three >/dev/null
"$weft" generate three --prompt "$(printf '\001\002')" --tokens 3 --temperature 0 >/dev/null
# What was trained is held to its data again.
if "$weft" train one/config.yaml data.path="$make" data.format=text run.steps=4 --resume >again.log 2>&1; then exit 1; fi
