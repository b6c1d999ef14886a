#!/bin/sh
# run_mpi.sh N program [argument ...]: runs the program as N processes under mpirun, also as root, in containers and on
# fewer cores than processes. Exit status: the program's; 77 (skipped) without mpirun; 124 after WEFT_MPI_TIMEOUT seconds
# (120). MPIRUN names another mpirun (mpirun.mpich).
set -u
if [ $# -lt 2 ]; then
    echo "usage: $0 N program [argument ...]" >&2
    exit 2
fi
count=$1
shift
mpirun=${MPIRUN:-mpirun}
if ! command -v "$mpirun" >/dev/null 2>&1; then
    echo "skipped: there is no $mpirun"
    exit 77
fi
options=
case $("$mpirun" --version 2>&1) in
*"Open MPI"* | *OpenRTE*) options="--oversubscribe --bind-to none" ;;
esac
OMPI_ALLOW_RUN_AS_ROOT=1
OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Without the kernel's help (often forbidden in containers) a long message moves one fragment a nap: make those larger.
OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
OMPI_MCA_btl_vader_max_send_size=${OMPI_MCA_btl_vader_max_send_size:-262144}
OMPI_MCA_btl_base_warn_component_unused=0
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
export OMPI_MCA_btl_vader_single_copy_mechanism OMPI_MCA_btl_vader_max_send_size
export OMPI_MCA_btl_base_warn_component_unused
# MPI libraries keep memory to the end of the process; in sanitizer builds that is no finding.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export ASAN_OPTIONS
# shellcheck disable=SC2086 # options are several words
exec timeout -k 5 "${WEFT_MPI_TIMEOUT:-120}" "$mpirun" $options -n "$count" "$@"
