#!/bin/sh
# What else may lie in a run folder: a run neither writes to other files, nor waits for a pipe, nor loses what another run
# measured.
. "$(dirname "$0")/common.sh"

short="run.steps=3 optimizer.decay=constant"
run() { # NAME STATUS ARGUMENTS...: within a minute
    name=$1 wanted=$2
    shift 2
    # shellcheck disable=SC2086 # a list of words
    timeout 60 "$weft" train "$work/run.yaml" $short "$@" > "$work/$name.log" 2>&1
    status=$?
    [ $status -eq "$wanted" ] || die "$name: status $status instead of $wanted"
}

echo kept > "$work/other"
files="metrics.jsonl timelines/config.yaml timelines/step-00000001.csv timeline.svg timeline.csv"
for what in link pipe; do
    folder=$work/taken-$what
    mkdir -p "$folder/timelines"
    for taken in $files; do
        if [ $what = link ]; then ln -s "$work/other" "$folder/$taken.tmp"; else mkfifo "$folder/$taken.tmp"; fi
    done
    run "$what" 0 run.folder="$folder"
    [ "$(cat "$work/other")" = kept ] || die "a run wrote through a link"
    for taken in $files; do
        [ -f "$folder/$taken" ] && [ ! -L "$folder/$taken" ] || die "no $taken beside a $what of its temporary name"
    done
done
ok "links and pipes of temporary names"

mkdir -p "$work/pipe/timelines"
mkfifo "$work/pipe/metrics.jsonl"
run pipe 2 run.folder="$work/pipe"
grep -q "metrics.jsonl: not a regular file" "$work/pipe.log" || die "a pipe is not named"
rm "$work/pipe/metrics.jsonl"
mkfifo "$work/pipe/timelines/config.yaml"
run pipe 0 run.folder="$work/pipe"
[ -f "$work/pipe/timelines/config.yaml" ] || die "a pipe in the place of a file that is written is not replaced"
mkdir "$work/linked"
ln -s "$work/other" "$work/linked/metrics.jsonl"
run linked 0 run.folder="$work/linked"
[ "$(cat "$work/other")" = kept ] || die "a run wrote through a link"
[ "$(wc -l < "$work/linked/metrics.jsonl")" -eq 4 ] || die "metrics of a run that found a link"
ok "pipes and links in the place of files"

mkdir -p "$work/lent" "$work/lender"
echo kept > "$work/lent/step-00000009.csv"
ln -s "$work/lent" "$work/lender/timelines"
run lender 2 run.folder="$work/lender"
grep -q "timelines: not a folder of its own" "$work/lender.log" || die "a link in the place of a folder is not named"
[ "$(ls "$work/lent")" = step-00000009.csv ] || die "a run wrote to the folder that a link points to"
ok "a link in the place of a folder"

mkdir "$work/scratch"
ln -s "$work/scratch" "$work/elsewhere"
run elsewhere 0 run.folder="$work/elsewhere"
[ -L "$work/elsewhere" ] && [ -f "$work/scratch/step-00000003/checkpoint.yaml" ] || die "a run folder that is a link"
ok "a run folder on another disk"

# Without a checkpoint a run begins, with --resume or without: what is there is of another run.
run first 0 run.folder="$work/kept" --resume
grep -q "note: no checkpoint in $work/kept: training begins at step 1" "$work/first.log" || die "no note of a beginning"
cp "$work/kept/metrics.jsonl" "$work/first"
rm -r "$work"/kept/step-*
run second 0 run.folder="$work/kept" --resume
grep -q "note: metrics of an earlier run are now $work/kept/metrics.jsonl.1" "$work/second.log" || die "no note of metrics"
cp "$work/kept/metrics.jsonl" "$work/second"
rm -r "$work"/kept/step-*
run third 0 run.folder="$work/kept"
cmp "$work/kept/metrics.jsonl.1" "$work/first" || die "the first run's metrics"
cmp "$work/kept/metrics.jsonl.2" "$work/second" || die "the second run's metrics"
run more 0 run.folder="$work/kept" run.steps=5 --resume
[ "$(grep -c learning_rate "$work/kept/metrics.jsonl")" -eq 5 ] || die "metrics of a run that was resumed"
[ ! -e "$work/kept/metrics.jsonl.3" ] || die "metrics of the same run were put aside"
ok "metrics of earlier runs are kept"

# Each start writes a file of events behind the others, whatever their numbers say; no more than metrics.jsonl has them.
events=$work/events
[ -z "$(ls "$work/kept" | grep tfevents)" ] || die "event files that nobody asked for"
run events 0 run.folder="$events" run.tensorboard=true checkpoint.every=1
mv "$events"/events.out.tfevents.* "$events/events.out.tfevents.8000000000.weft"
rm -r "$events/step-00000003"
run events-more 0 run.folder="$events" run.tensorboard=true --resume
[ "$(ls "$events" | grep tfevents)" = "$(printf 'events.out.tfevents.%s.weft\n' 8000000000 8000000001)" ] || die "the names of event files"
mv "$events/events.out.tfevents.8000000001.weft" "$events/events.out.tfevents.9999999999.weft"
run events-most 1 run.folder="$events" run.tensorboard=true run.steps=4 --resume
grep -q "no number is left for another event file" "$work/events-most.log" || die "event files without a number"
ok "event files of TensorBoard"
