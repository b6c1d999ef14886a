#!/bin/sh
# same_values.sh CC TOOLKIT HEADERS: every number that the emulator's headers give a name has it in the toolkit's, too.
# Skips (77) where there is no toolkit.
set -eu
compiler=$1 toolkit=$2 headers=$3
[ -f "$toolkit/include/cublasLt.h" ] || { echo "no toolkit with cuBLASLt"; exit 77; }
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT

# Prints an assertion for each "name = number" and each "#define name number". A name that versions differ in is none.
assertions() {
    awk '
        { line = $0 }
        /^#define (cuda|CUBLAS)[A-Za-z]+ [0-9]/ { print $2, $3; next }
        {
            while (match(line, /(cuda|CUDA|CUBLAS)[A-Za-z_0-9]* = [0-9]+/)) {
                split(substr(line, RSTART, RLENGTH), part, / = /)
                print part[1], part[2]
                line = substr(line, RSTART + RLENGTH)
            }
        }' "$@" | while read -r name value; do
        printf '_Static_assert(%s == %s, "%s");\n' "$name" "$value" "$name"
    done
}

{
    printf '#include <cuda_runtime_api.h>\n#include <cublasLt.h>\n'
    assertions "$headers/cuda_runtime_api.h" "$headers/library_types.h" "$headers/cublasLt.h"
} >"$trial/same.c"
count=$(grep -c _Static_assert "$trial/same.c")
[ "$count" -gt 50 ] || { echo "the script itself is wrong: it found $count numbers"; exit 1; }
# shellcheck disable=SC2086 # a command and its words
$compiler -std=c17 -fsyntax-only -I"$toolkit/include" "$trial/same.c"
printf '_Static_assert(cudaErrorNotReady == 601, "it notices");\n' >>"$trial/same.c"
# shellcheck disable=SC2086
if $compiler -std=c17 -fsyntax-only -I"$toolkit/include" "$trial/same.c" 2>/dev/null; then
    echo "the script itself is wrong: it does not notice"
    exit 1
fi
echo "$count numbers are the toolkit's"
