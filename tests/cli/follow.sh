#!/bin/sh
# follow.sh WEFT: weft metrics --follow of a run that goes on, is resumed, begins anew and is removed; signals; the memory
# that a very long run takes.
set -u
weft=$(realpath "$1")
work=$(mktemp -d)
followers=
trap 'for process in $followers; do kill -9 "$process" 2>/dev/null; done; rm -rf "$work"' EXIT
cd "$work" || exit 1
export LC_ALL=C

die() {
    echo "FAILED: $*" >&2
    tail -n 40 out err >&2
    exit 1
}

# shows PATTERN: waits until a line of the plots agrees, half a minute at most
shows() {
    tries=0
    until grep -q "$1" out; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || die "never shown: $1"
        sleep 0.1
    done
}

follow() { # ARGUMENTS...: in the background, with signals as a terminal's foreground has them
    : >out
    env --default-signal=INT,HUP "$weft" metrics "$@" --follow >out 2>err &
    follower=$!
    followers="$followers $follower"
}

ends() { # STATUS
    wait $follower
    got=$?
    [ $got -eq "$1" ] || die "status $got instead of $1"
}

mkdir run
: >run/metrics.jsonl
follow run
shows '^. run  *0  *-'
printf '{"step":1,"loss":3}\n{"step":2,"lo' >>run/metrics.jsonl
shows '^. run  *1  *3  *3  *1$'
printf 'ss":2}\n' >>run/metrics.jsonl
shows '^. run  *2  *2  *2  *2$'
printf '{"step":1,"loss":9}\n' >run/new
mv run/new run/metrics.jsonl
shows '^. run  *1  *9  *9  *1$'
printf '{"step":2,"loss":8}\n' >>run/metrics.jsonl
shows '^. run  *2  *8  *8  *2$'
: >run/metrics.jsonl
printf '{"step":7,"loss":9.5}\n' >>run/metrics.jsonl
shows '^. run  *7  *9.5  *9.5  *7$'
[ ! -s err ] || die "words on standard error"
plots=$(grep -c '^loss' out)
sleep 2
[ "$(grep -c '^loss' out)" -eq "$plots" ] || die "drawn again without a new line"
kill -INT $follower
ends 0
for signal in TERM HUP; do
    follow run
    shows '^. run '
    kill -$signal $follower
    ends 0
done

# Curves of sources take the place of the empty one when the first step comes, each run's in its place.
mkdir early late
: >late/metrics.jsonl
printf '{"step":1,"loss":3,"loss_by_source":{"x":3.5}}\n' >early/metrics.jsonl
follow late early --key loss_by_source
shows '^. late  *0  *-'
printf '{"step":1,"loss":3,"loss_by_source":{"a":2,"b":4}}\n' >>late/metrics.jsonl
shows '^. late: b  *1  *4 '
printf '{"step":2,"loss":3,"loss_by_source":{"a":1,"b":5}}\n' >>late/metrics.jsonl
shows '^. late: b  *2  *5 '
kill -TERM $follower
ends 0
names=$(tail -n 3 out | cut -c 3-10 | tr -d '\n')
[ "$names" = "late: a late: b early: x" ] || die "curves of $names"

follow run --svg loss.svg
shows '^. run '
printf '{"step":8,"loss":6}\n' >>run/metrics.jsonl
shows '^. run  *8 '
grep -q 'last 6, least 6 at step 8' loss.svg || die "the picture is not drawn anew"
rm -r run
ends 1
[ "$(cat err)" = "weft metrics: run: the run was removed" ] || die "words of a run that is removed"

# The memory of a run of few steps, and of one of many.
peak() { # FILE STEPS
    follow "$1"
    shows "^. $1  *$2 "
    awk '/^VmHWM:/ { print $2 }' "/proc/$follower/status" >peak
    kill -TERM $follower
    ends 0
}
steps() { # HOW MANY
    awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "{\"step\":%d,\"loss\":%.4f,\"bubble\":[0.123456,0.234567,0.345678]}\n", i, 2 + 5 / i }'
}
steps 4000 >few
steps 400000 >many
peak few 4000
few=$(cat peak)
peak many 400000
many=$(cat peak)
[ "$many" -lt $((few + 2048)) ] || die "$many kB for 400000 steps, $few kB for 4000"
echo "ok: few $few kB, many $many kB"
