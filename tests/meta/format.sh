#!/bin/sh
# format.sh ROOT: every C file, C++ file and kernel is as clang-format 14 writes it. Proves first that it notices one that is not.
set -eu
root=$1
command -v clang-format-14 >/dev/null 2>&1 || { echo "no clang-format-14"; exit 77; }

# Names the files under folder $1 that clang-format would change.
unformatted() {
    find "$@" -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' | sort | xargs clang-format-14 --style="file:$root/.clang-format" --dry-run -Werror 2>&1 |
        sed -n 's/^\(.*\):[0-9]*:[0-9]*: error: .*clang-format.*/\1/p' | uniq
}

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
printf 'int f(void)\n{\n    return 1;\n}\n' >"$trial/a.c"
[ -z "$(unformatted "$trial")" ] || { echo "the checker itself is wrong: nothing is to be changed"; exit 1; }
printf 'int f(void) {\n  return 1;\n}\n' >"$trial/b.h"
[ "$(unformatted "$trial")" = "$trial/b.h" ] || { echo "the checker itself is wrong: b.h is not formatted"; exit 1; }

cd "$root"
found=$(unformatted src include tests bench)
[ -z "$found" ] || { printf 'not as clang-format-14 writes them:\n%s\n' "$found"; exit 1; }
