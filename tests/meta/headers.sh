#!/bin/sh
# headers.sh COMPILER ROOT WITH_MPI WITH_ONEDNN: every header compiles alone, also twice in one unit;
# those of the device cuda with the headers of its emulator.
# Proves first, on headers of its own, that it notices one that does not.
set -eu
compiler=$1 root=$2 with_mpi=$3 with_onednn=$4
mpi_flags=$(pkg-config --cflags ompi-c 2>/dev/null || pkg-config --cflags mpich 2>/dev/null || true)
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
cd "$root"

# compiles HEADER: alone, twice in one unit
compiles() {
    printf '#include "%s"\n#include "%s"\n' "$1" "$1" >"$trial/unit.c"
    # shellcheck disable=SC2086 # lists of flags
    $compiler -std=c17 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -fopenmp-simd -Wall -Wextra -Werror -Isrc -Iinclude -Itests/cuda/include \
        $mpi_flags -fsyntax-only "$trial/unit.c"
}

# expect TEXT YES|NO: whether a header of this text is noticed
expect() {
    printf '%s\n' "$1" >"$trial/a.h"
    found=NO
    compiles "$trial/a.h" 2>/dev/null || found=YES
    [ "$found" = "$2" ] || { echo "the checker itself is wrong about: $1"; exit 1; }
}
expect 'int32_t f(void);' YES
expect 'struct f { int g; };' YES
expect 'struct f;' NO

failed=0 count=0
for header in $(find src include -name '*.h' | sort); do
    if [ "$with_mpi" != true ] && grep -q '<mpi.h>' "$header"; then continue; fi
    if [ "$with_onednn" != true ] && grep -q '<oneapi/' "$header"; then continue; fi
    case $header in */nccl/*) continue ;; esac
    compiles "$root/$header" || { echo "$header does not compile alone"; failed=1; }
    count=$((count + 1))
done
[ "$count" -gt 10 ] || { echo "only $count headers found"; exit 1; }
exit $failed
