#!/bin/sh
# mpi_leftovers.sh MPI_FAULTS: however a test of MPI processes ends, here broken off while they run, it leaves neither
# processes nor folders behind.
set -u
command -v mpirun > /dev/null 2>&1 || exit 77
scratch=$(mktemp -d "${TMPDIR:-/tmp}/weft-leftovers-XXXXXX") || exit 1
trap 'pkill -KILL -f "$scratch/"; rm -rf "$scratch"' EXIT
mkdir "$scratch/tmp"

# A weft that starts, deaf to whoever asks it to end.
cat > "$scratch/weft" <<END
#!/bin/sh
trap '' TERM INT HUP
echo started >> "$scratch/started"
while :; do sleep 1; done
END
chmod +x "$scratch/weft"

TMPDIR="$scratch/tmp" "$1" "$scratch/weft" > "$scratch/log" 2>&1 &
test=$!
tries=0
until [ -s "$scratch/started" ]; do
    sleep 0.1
    tries=$((tries + 1))
    [ $tries -lt 200 ] || { echo "FAILED: nothing starts"; cat "$scratch/log"; exit 1; }
done
kill -TERM $test
wait $test
[ $? -eq 1 ] || { echo "FAILED: the test that was broken off has another status"; exit 1; }
left=$(pgrep -af "run.folder=$scratch/")
[ -z "$left" ] || { echo "FAILED: processes are left: $left"; exit 1; }
for left in "$scratch"/tmp/weft-*; do [ ! -e "$left" ] || { echo "FAILED: $left is left"; exit 1; }; done
echo "ok: no process and no folder is left"
