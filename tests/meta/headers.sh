#!/bin/sh
# headers.sh COMPILER ROOT WITH_MPI WITH_ONEDNN: every header compiles alone, also twice in one unit.
set -eu
compiler=$1 root=$2 with_mpi=$3 with_onednn=$4
mpi_flags=$(pkg-config --cflags ompi-c 2>/dev/null || pkg-config --cflags mpich 2>/dev/null || true)
failed=0 count=0
unit=$(mktemp --suffix=.c)
trap 'rm -f "$unit"' EXIT
cd "$root"
for header in $(find src include -name '*.h' | sort); do
    if [ "$with_mpi" != true ] && grep -q '<mpi.h>' "$header"; then continue; fi
    if [ "$with_onednn" != true ] && grep -q '<oneapi/' "$header"; then continue; fi
    case $header in */cuda/* | */nccl/*) continue ;; esac
    printf '#include "%s"\n#include "%s"\n' "$root/$header" "$root/$header" >"$unit"
    # shellcheck disable=SC2086 # lists of flags
    $compiler -std=c17 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Wall -Wextra -Werror -Isrc -Iinclude $mpi_flags -fsyntax-only \
        "$unit" || { echo "$header does not compile alone"; failed=1; }
    count=$((count + 1))
done
[ "$count" -gt 10 ] || { echo "only $count headers found"; exit 1; }
exit $failed
