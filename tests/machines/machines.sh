#!/bin/sh
# machines.sh WEFT NETWORK: trains over MPI between hosts that are network namespaces of this machine, each with its own
# name and address, joined by a switch with set rate and delay. Needs root, iproute2, Open MPI and /dev/net/tun; without
# them it is skipped.
network=$2
skip() { echo "skipped: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
for tool in ip mpirun unshare; do command -v $tool > /dev/null 2>&1 || skip "there is no $tool"; done
[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
mpirun --version 2>&1 | grep -q 'Open MPI' || skip "mpirun is not Open MPI's"
probe=weft-probe-$$
ip netns add $probe > /dev/null 2>&1 || skip "network namespaces are not allowed here"
ip netns del $probe
. "$(dirname "$0")/../train/common.sh"

hosts=2
name() { echo "weft-$$-$1"; }
address() { echo "10.83.0.$(($1 + 1))"; }
each() { i=0; while [ $i -lt $hosts ]; do "$@" $i; i=$((i + 1)); done; }

remove() {
    [ -z "${switch:-}" ] || kill "$switch" 2> /dev/null
    pkill -KILL -f "$work/" # daemons that the launcher could not reach any more
    each remove_host
    rm -rf "$work"
}
remove_host() { ip netns del "$(name "$1")" 2> /dev/null; }
trap remove EXIT
trap 'exit 1' INT TERM HUP

add_host() { ip netns add "$(name "$1")" || die "no namespace $(name "$1")"; }
address_host() {
    ip -n "$(name "$1")" link set lo up &&
        ip -n "$(name "$1")" addr add "$(address "$1")/24" dev weft0 &&
        ip -n "$(name "$1")" link set weft0 mtu 9000 up || die "no address for $(name "$1")"
}

connect() { # BYTES_PER_SECOND DELAY_MICROSECONDS: sets $switch
    : > "$work/network.txt"
    "$network" "$1" "$2" $(each name) > "$work/network.txt" 2> "$work/network.log" &
    switch=$!
    tries=0
    until grep -q ready "$work/network.txt"; do
        sleep 0.1
        tries=$((tries + 1))
        [ $tries -lt 50 ] || die "the switch does not start"
    done
    each address_host
}

# What mpirun calls in place of ssh: agent ADDRESS COMMAND...
agent_case() { echo "$(address "$1")) name=$(name "$1") ;;"; }
cat > "$work/agent" << END
#!/bin/sh
case \$1 in
$(each agent_case)
*) echo "agent: unknown host \$1" >&2; exit 1 ;;
esac
shift
exec ip netns exec \$name unshare --uts sh -c "hostname \$name; \$*"
END
chmod +x "$work/agent"

launch() { # SECONDS FOLDER KEY=VALUE...: one worker a host, started from the first
    seconds=$1
    folder=$2
    shift 2
    timeout -k 5 "$seconds" ip netns exec "$(name 0)" unshare --uts sh -c 'hostname '"$(name 0)"'; exec "$@"' sh \
        env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -np $hosts \
        --host "$(each address | paste -sd, -)" --bind-to none --mca plm_rsh_agent "$work/agent" \
        --mca btl self,tcp --mca btl_tcp_if_include 10.83.0.0/24 --mca oob_tcp_if_include 10.83.0.0/24 \
        "$weft" train "$work/run.yaml" run.folder="$work/$folder" transport=mpi "$@" > "$work/$folder.log" 2>&1
}

losses() { # FOLDER: the losses of all steps and of the evaluation, one a line
    sed -n 's/.*"step":\([0-9]*\),"loss":\([^,]*\),.*/\1 \2/p' "$work/$1/metrics.jsonl"
}

each add_host
connect 12500000 2000

"$weft" train "$work/run.yaml" run.folder="$work/one" run.steps=6 > "$work/one.log" 2>&1 || die "one worker"
pipeline="parallel.pipeline=$hosts parallel.loops=2 parallel.schedule=breadth-first"
# shellcheck disable=SC2086 # keys are several words
launch 120 hosts run.steps=6 $pipeline || die "two hosts"
"$weft" compare "$work/one" "$work/hosts" > "$work/compare.log" 2>&1 || die "two hosts: not the bits of one worker"
ok "two hosts: the bits of one worker"

same_as_threads() { # FOLDER KEY=VALUE...: the hosts' run against one of threads on this machine
    folder=$1
    shift
    "$weft" train "$work/run.yaml" run.folder="$work/threads" run.steps=6 "$@" > "$work/threads.log" 2>&1 ||
        die "$folder: threads"
    [ "$(losses threads | wc -l)" -eq 7 ] || die "no losses in metrics.jsonl"
    launch 120 "$folder" run.steps=6 "$@" || die "$folder: hosts"
    "$weft" compare "$work/threads" "$work/$folder" > "$work/compare.log" 2>&1 || die "$folder: not the bits of threads"
    [ "$(losses threads)" = "$(losses "$folder")" ] || die "$folder: other losses"
    rm -rf "$work/threads"
    ok "$folder: the bits and losses of threads"
}

# Both hosts train the same stages, each on its part of the batch: weights and gradients cross the link.
stages="parallel.loops=4 parallel.schedule=breadth-first"
# shellcheck disable=SC2086
same_as_threads whole parallel.data=$hosts $stages
# shellcheck disable=SC2086
same_as_threads divided parallel.data=$hosts $stages parallel.shard=weights parallel.reduce=early parallel.buffers=1
# Both hosts compute every pass together: rows and sums cross the link in the middle of it.
# shellcheck disable=SC2086
same_as_threads together parallel.tensor=$hosts $stages

# shellcheck disable=SC2086
launch 60 cut run.steps=100000 timeout=4 $pipeline &
launcher=$!
tries=0
until [ -s "$work/cut/metrics.jsonl" ]; do
    sleep 0.1
    tries=$((tries + 1))
    [ $tries -lt 200 ] || die "cut: the run does not start"
done
ip -n "$(name 1)" link set weft0 down
# Of weft's own processes: mpirun itself may wait for ever for a daemon that it cannot reach.
tries=0
while pgrep -f "^$weft train .*run.folder=$work/cut " > /dev/null; do
    sleep 0.1
    tries=$((tries + 1))
    [ $tries -lt 300 ] || die "cut: the workers hang"
done
grep -Eq 'rank 0, step [0-9]+: nothing moved for 4 s while waiting for .*rank 1: no answer' "$work/cut.log" ||
    die "cut: the message does not name who did not answer"
ok "a cut cable ends the workers of both hosts"

kill "$switch"
wait "$switch"
switch=
[ "$(awk -v host="$(name 1)" '$1 == host { print ($2 > 100000) }' "$work/network.txt")" = 1 ] || die "nothing went through the switch"
ok "the messages went through the switch"
