#!/bin/sh
# Usage: layouts.sh TEST local [ARGUMENT...] | layouts.sh TEST mpi RANKS [ARGUMENT...]
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-layouts-XXXXXX")
trap 'rm -rf "$work"' EXIT
program=$1 transport=$2
shift 2
if [ "$transport" = local ]; then
    "$program" local "$work" "$@"
else
    ranks=$1
    shift
    "$(dirname "$0")/../transport/run_mpi.sh" "$ranks" "$program" mpi "$work" "$@"
fi
