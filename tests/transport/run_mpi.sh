#!/bin/sh
# run_mpi.sh N program [argument ...]: runs the program as N processes under the mpirun of its MPI (mpi.sh; MPIRUN names
# another). Exit status: the program's; 77 (skipped) without mpirun; 124 after WEFT_MPI_TIMEOUT seconds (280).
set -u
if [ $# -lt 2 ]; then
    echo "usage: $0 N program [argument ...]" >&2
    exit 2
fi
count=$1
shift
. "$(dirname "$0")/mpi.sh"
if ! find_mpirun "$1"; then
    echo "skipped: there is no $mpirun"
    exit 77
fi
# shellcheck disable=SC2086 # options are several words
exec timeout -k 5 "${WEFT_MPI_TIMEOUT:-280}" "$mpirun" $mpirun_options -n "$count" "$@"
