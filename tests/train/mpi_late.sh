#!/bin/sh
# mpi_late.sh TEST_LATE: a process that starts MPI and then does not connect ends the run within the timeout.
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-late-XXXXXX")
trap 'rm -rf "$work"' EXIT
"$(dirname "$0")/../transport/run_mpi.sh" 2 "$1" "$work" > "$work/log" 2>&1
status=$?
[ $status -eq 77 ] && exit 77
[ $status -eq 3 ] || { echo "FAILED: status $status, not 3"; cat "$work/log"; exit 1; }
