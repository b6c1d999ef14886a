#!/bin/sh
# Usage: layouts.sh TEST_LAYOUTS local | mpi RANKS
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-layouts-XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ "$2" = local ]; then
    "$1" local "$work"
else
    "$(dirname "$0")/../transport/run_mpi.sh" "$3" "$1" mpi "$work"
fi
