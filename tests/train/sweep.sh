#!/bin/sh
# weft sweep on small runs: its figures agree with each other, it touches no run folder, stops at what does not fit, and
# leaves complete results when it is interrupted.
. "$(dirname "$0")/common.sh"

column() { # FILE NAME: the values of a column, one a line
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }' "$1"
}

check_figures() { # FILE PEAK [PIPELINES]: shares are there only where the peak of the device is known
    awk -F, -v peak="$2" -v pipelines="${3:-1}" '
        function off(a, b) { return a - b > 1e-9 * b || b - a > 1e-9 * b }
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["outcome"] != "measured" { next }
        {
            for (i = 0; i < 2; i++) {
                p = i ? "predicted_" : ""
                seconds = $at[p "step_seconds"]; rate = $at[p "tokens_per_second"]; bubble = $at[p "bubble"]
                share = $at[p "peak_share"]; busy = $at[p "busy_peak_share"]
                if (!(seconds > 0) || off(rate * seconds, pipelines * 8 * 32)) { print "wrong rate: " $0; bad = 1 }
                if (!(bubble >= 0 && bubble < 1)) { print "wrong bubble: " $0; bad = 1 }
                if (peak == "no" && (share != "" || busy != "")) { print "a share of no peak: " $0; bad = 1 }
                if (peak == "yes" && (!(share > 0) || off(busy * (1 - bubble), share))) { print "wrong shares: " $0; bad = 1 }
                if (peak == "yes") { ratio = rate / share; if (first && off(ratio, first)) { print "not one peak: " $0; bad = 1 } first = ratio }
            }
            if ($at["microbatch"] * $at["microbatches"] != 8) { print "another batch: " $0; bad = 1 }
            rows++
        }
        END { exit bad || !rows }' "$1" > "$work/figures.log" || die "the figures of $1"
}

best_of() { # FILE: the size with the highest measured throughput
    paste -d' ' "$1.size" "$1.rate" | awk '$2 > most { most = $2; best = $1 } END { print best }'
}

# A run folder that is in use by another run, and one that is not there.
mkdir "$work/taken"
echo mine > "$work/taken/metrics.jsonl"
for device in reference cpu; do
    "$weft" config "$work/run.yaml" device=$device > "$work/config.log" 2>&1
    "$weft" sweep "$work/run.yaml" microbatch=4,1,2 device=$device parallel.pipeline=2 parallel.loops=2 --steps 2 --warmup 1 \
        run.folder="$work/taken" --csv "$work/$device.csv" --svg "$work/$device.svg" --json \
        > "$work/$device.json" 2> "$work/$device.log"
    status=$?
    [ $status -eq 2 ] && grep -q 'no device' "$work/$device.log" && continue # a build without oneDNN
    [ $status -eq 0 ] || die "a sweep on device $device ended with status $status"
    [ "$(column "$work/$device.csv" microbatch | tr '\n' ' ')" = "1 2 4 " ] || die "$device: the sizes are not 1 2 4"
    [ "$(column "$work/$device.csv" outcome | sort -u)" = measured ] || die "$device: not all was measured"
    check_figures "$work/$device.csv" $([ $device = cpu ] && echo yes || echo no)
    column "$work/$device.csv" microbatch > "$work/$device.csv.size"
    column "$work/$device.csv" tokens_per_second > "$work/$device.csv.rate"
    grep -q "\"best\": $(best_of "$work/$device.csv")," "$work/$device.json" || die "$device: best is not the highest"
    grep -q '"complete": true' "$work/$device.json" || die "$device: not complete"
    tail -n 1 "$work/$device.svg" | grep -q '</svg>' || die "$device: no picture"
    ok "three sizes on device $device"
done
[ "$(ls "$work/taken")" = metrics.jsonl ] && [ "$(cat "$work/taken/metrics.jsonl")" = mine ] || die "the run folder changed"
ok "the run folder is left alone"

# Data-parallel pipelines: each size trains a batch that is as much larger, and its parts are predicted.
for shard in none "weights parallel.reduce=early parallel.buffers=1"; do
    name=${shard%% *}
    # shellcheck disable=SC2086 # keys are several words
    "$weft" sweep "$work/run.yaml" microbatch=2,4 device=reference parallel.data=2 parallel.pipeline=2 parallel.loops=2 \
        parallel.shard=$shard --steps 2 --warmup 1 --csv "$work/data.csv" --svg "$work/data.svg" --json \
        > "$work/data.json" 2> "$work/data.log" || die "a sweep of two pipelines, shard $name"
    [ "$(column "$work/data.csv" outcome | sort -u)" = measured ] || die "two pipelines, shard $name: not all was measured"
    check_figures "$work/data.csv" no 2
    grep -q '"data": 2,' "$work/data.json" && grep -q '"sequences": 16,' "$work/data.json" || die "shard $name: not the batch of both"
    grep -q 'in each of 2 pipelines; a batch of 16 sequences' "$work/data.log" || die "shard $name: the head of the table"
    grep -q 'D = 2' "$work/data.svg" || die "shard $name: the head of the picture"
    ok "two pipelines, shard $name"
done

"$weft" sweep "$work/run.yaml" microbatch=1,2,4,8 device=reference --steps 1 --warmup 0 memory_limit=2300KiB --csv "$work/limit.csv" \
    > "$work/limit.log" 2>&1 || die "a sweep with a memory limit"
column "$work/limit.csv" outcome | tr '\n' ' ' > "$work/outcomes.log"
grep -Eq '^(measured )+(too large )+$' "$work/outcomes.log" || die "a memory limit does not part the sizes"
grep -q '8 *1 *does not fit: the largest worker needs' "$work/limit.log" || die "the row does not say why it does not fit"
ok "memory limit"

# The address space as a limit: an allocation fails, what was measured stays. A sanitizer needs far more for itself.
if (ulimit -v 250000 && "$weft" --version > /dev/null 2>&1); then
    (ulimit -v 250000 && exec "$weft" sweep "$work/run.yaml" microbatch=2,1024 batch.sequences=1024 batch.microbatches=1 \
        parallel.schedule=1f1b device=reference --steps 1 --warmup 0 --csv "$work/space.csv" > "$work/space.log" 2>&1) ||
        die "a failed allocation ended the sweep with a failure"
    [ "$(column "$work/space.csv" outcome | tr '\n' ' ')" = "measured too large " ] || die "the row of a failed allocation"
    grep -q '1024 *1 *does not fit: rank 0 cannot have its [0-9.]* MiB' "$work/space.log" || die "the reason of a failed allocation"
    ok "failed allocation"
fi

# Interrupted once its first size is done: that one is there, and the status is 0.
for signal in INT TERM; do
    env --default-signal=INT "$weft" sweep "$work/run.yaml" microbatch=1,2,4 device=reference parallel.pipeline=2 \
        --steps 30 --warmup 0 run.folder="$work/none" --csv "$work/cut.csv" --svg "$work/cut.svg" --json \
        > "$work/cut.json" 2> "$work/cut.log" &
    child=$!
    tries=0
    until [ -s "$work/cut.csv" ] || [ $tries -gt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -$signal $child
    wait $child
    status=$?
    [ $status -eq 0 ] || die "SIG$signal ended the sweep with status $status"
    [ "$(column "$work/cut.csv" outcome | tr '\n' ' ')" = "measured not run not run " ] || die "SIG$signal: what is complete"
    check_figures "$work/cut.csv" no
    grep -q '"complete": false' "$work/cut.json" || die "SIG$signal: it does not say that it is not complete"
    grep -q '"best": 1,' "$work/cut.json" || die "SIG$signal: the best of what is complete"
    grep -q '>not run<' "$work/cut.svg" && tail -n 1 "$work/cut.svg" | grep -q '</svg>' || die "SIG$signal: the picture"
    [ ! -e "$work/none" ] || die "SIG$signal: the sweep made a run folder"
    rm "$work"/cut.*
    ok "SIG$signal"
done

if command -v mpirun > /dev/null 2>&1; then
    "$(dirname "$0")/../transport/run_mpi.sh" 2 "$weft" sweep "$work/run.yaml" microbatch=1,2 device=reference transport=mpi \
        parallel.pipeline=2 --steps 1 --warmup 0 --csv "$work/mpi.csv" > "$work/mpi.log" 2>&1
    status=$?
    grep -q 'no MPI' "$work/mpi.log" && exit 0 # such a build
    [ $status -eq 0 ] || die "a sweep under mpirun ended with status $status"
    check_figures "$work/mpi.csv" no
    [ "$(grep -c '^best ' "$work/mpi.log")" -eq 1 ] || die "not rank 0 alone prints"
    ok "mpirun"
    "$(dirname "$0")/../transport/run_mpi.sh" 4 "$weft" sweep "$work/run.yaml" microbatch=1,2 device=reference transport=mpi \
        parallel.data=2 parallel.pipeline=2 parallel.loops=2 parallel.shard=weights --steps 1 --warmup 0 \
        --csv "$work/mpi-data.csv" > "$work/mpi-data.log" 2>&1 || die "a sweep of two pipelines under mpirun"
    check_figures "$work/mpi-data.csv" no 2
    ok "mpirun, two pipelines"
fi
