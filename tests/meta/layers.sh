#!/bin/sh
# layers.sh SOURCES: includes point downwards only, and the planning half needs nothing but the C library.
# Proves first, on trees of its own, that it notices a wrong include.
set -eu

layers='base config schedule program simulate plan tensor device transport model tokenizer data checkpoint convert train report cli'
libc_only='base schedule program simulate plan report'

# Prints "FILE: what is wrong" for every wrong include under folder $1.
wrong_includes() {
    (cd "$1" && grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' --include='*.cu' --include='*.def' .) |
        awk -v layers="$layers" -v libc_only="$libc_only" '
        BEGIN {
            count = split(layers, names, " ")
            for (i = 1; i <= count; i++) rank[names[i]] = i
            split(libc_only, plain_names, " ")
            for (i in plain_names) plain[plain_names[i]] = 1
        }
        {
            place = $0; sub(/:[ \t]*#.*/, "", place); sub(/^\.\//, "", place)
            depth = split(place, path, "/")
            from = path[1]
            if (depth < 2) next # src/weft.c stands outside the layers
            if (!(from in rank)) { print place ": folder " from " is no layer"; next }
            if (match($0, /"[^"]*"/)) {
                target = substr($0, RSTART + 1, RLENGTH - 2)
                if (split(target, parts, "/") < 2) next # a file of the same folder
                to = parts[1]
                if (!(to in rank)) print place ": \"" target "\" is in no layer"
                else if (rank[to] > rank[from]) print place ": " from " includes \"" target "\" of the layer above it"
            } else if (match($0, /<[^>]*>/) && (from in plain)) {
                target = substr($0, RSTART + 1, RLENGTH - 2)
                if (target ~ /^(mpi|yaml|jansson|xxhash|omp|cuda|nccl|cublas|cmocka|oneapi)/)
                    print place ": " from " needs the C library only, not <" target ">"
            }
        }'
}

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
mkdir "$trial/base" "$trial/plan" "$trial/other"
expect() { # expect FILE LINE YES|NO: whether the line in the file is noticed
    printf '%s\n' "$2" >"$trial/$1"
    found=NO
    [ -z "$(wrong_includes "$trial")" ] || found=YES
    rm "$trial/$1"
    [ "$found" = "$3" ] || { echo "the checker itself is wrong about $1: $2"; exit 1; }
}
expect base/a.c '#include "config/config.h"' YES
expect base/a.h '#  include "plan/split.h"' YES
expect plan/a.c '#include <mpi.h>' YES
expect plan/a.c '#include "elsewhere/a.h"' YES
expect other/a.c '#include <stdio.h>' YES
expect plan/a.c '#include "base/text.h"' NO
expect plan/a.c '#include <stdio.h>' NO

found=$(wrong_includes "$1")
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
