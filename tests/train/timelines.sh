#!/bin/sh
# RUN/timelines: kept while a run trains, told by weft timeline, and right after a kill, a resume and a change.
. "$(dirname "$0")/common.sh"

train() { # LOG ARGUMENTS...
    log=$1
    shift
    "$weft" train "$work/run.yaml" run.folder="$work/run" parallel.pipeline=2 parallel.loops=2 device=reference run.evaluate_batches=1 \
        "$@" > "$work/$log.log" 2>&1
}

steps() { # of the timelines, on one line
    ls "$work/run/timelines" | sed -n 's/^step-0*\([0-9]*\).csv$/\1/p' | tr '\n' ' '
}

train first run.steps=40 run.timelines=8 checkpoint.every=20 || die "a run"
[ "$(steps)" = "5 10 15 20 25 30 35 40 " ] || die "timelines of the steps $(steps)"
"$weft" timeline "$work/run" --step 20 --json > "$work/timeline.json" 2> "$work/timeline.log" || die "weft timeline"
grep -q '"fitted_from": \[5, 10, 15\]' "$work/timeline.json" || die "costs of other steps"
"$weft" timeline "$work/run" --costs-out "$work/costs.yaml" > "$work/timeline.log" 2>&1 || die "weft timeline"
"$weft" simulate 1f1b --pipeline 4 --microbatches 4 --costs "$work/costs.yaml" > "$work/simulate.log" 2>&1 ||
    die "weft simulate does not read the costs"
mv "$work/run" "$work/moved" # the folder alone is enough
"$weft" timeline "$work/moved" > "$work/timeline.log" 2>&1 || die "weft timeline of a folder elsewhere"
mv "$work/moved" "$work/run"
ok "kept and told"

# What a killed run had timed behind its last checkpoint is measured again. Once the schedule's own placement was auto.
rm -r "$work/run/step-00000040"
sed -i 's/placement: "*own"*/placement: auto/' "$work/run/timelines/config.yaml"
grep -q 'placement: auto' "$work/run/timelines/config.yaml" || die "no placement to change"
train second run.steps=44 run.timelines=4 --resume || die "a resume"
[ "$(steps)" = "5 10 15 20 22 33 44 " ] || die "after a resume: timelines of the steps $(steps)"
ok "resumed"

train third run.steps=48 run.timelines=0 --resume || die "a resume without timelines"
[ "$(steps)" = "5 10 15 20 22 33 44 " ] || die "timelines that were not asked for: $(steps)"
train fourth run.steps=52 parallel.schedule=1f1b parallel.loops=1 run.timelines=13 --resume || die "a resume with another schedule"
[ "$(steps)" = "52 " ] || die "timelines of two programs: $(steps)"
grep -q 'note: 7 kept timelines were measured with another configuration' "$work/fourth.log" || die "a loss that is not told"
ok "another configuration"

rm -rf "$work/run"
train none run.steps=4 run.timelines=0 || die "a run without timelines"
[ ! -e "$work/run/timelines" ] || die "a folder that was not asked for"
rm -rf "$work/run"
mkdir "$work/run"
touch "$work/run/timelines"
train file run.steps=4 && die "a file in the place of the folder"
grep -q 'run/timelines' "$work/file.log" || die "the message does not say where"
ok "none, and not writable"
