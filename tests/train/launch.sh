# For the scripts of this folder that launch MPI processes, after common.sh. However the script ends, nothing that it
# launched goes on.
. "$(dirname "$0")/../transport/mpi.sh"
find_mpirun "$weft" || exit 77
[ -d "$work" ] || exit 1
launcher=

# The launcher first, which ends what it started; then what is left by its folder, which no other command line holds.
clean_up() {
    trap - EXIT INT TERM HUP
    pkill -CONT -f "run.folder=$work/"
    [ -z "$launcher" ] || kill "$launcher" 2> /dev/null
    tries=0
    while pgrep -f "run.folder=$work/" > /dev/null && [ $tries -lt 30 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    pkill -KILL -f "run.folder=$work/"
    wait
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

# launch NAME PROCESSES PROGRAM ARGUMENTS...: in the background, its output in NAME.log; sets $launcher
launch() {
    name=$1 processes=$2 program=$3
    shift 3
    # shellcheck disable=SC2086 # options are several words
    timeout -k 5 100 "$mpirun" $mpirun_options -n "$processes" "$program" train "$work/run.yaml" run.folder="$work/$name" \
        transport=mpi checkpoint.every=0 "$@" > "$work/$name.log" 2>&1 &
    launcher=$!
}

# Sets $status to that of the launcher; 124 when it had to be ended.
await_launcher() {
    wait "$launcher"
    status=$?
    launcher=
}
