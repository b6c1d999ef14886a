#!/bin/sh
# spills.sh SOURCE INCLUDES FLAG...: each compiler here keeps all sums of the kernel of pairs in registers: its 24
# products are there once, and no vector goes to the stack. Skipped where no compiler knows the instruction.
set -eu
source=$1 includes=$2
shift 2
tried=0 failed=0
for compiler in gcc clang; do
    assembly=$("$compiler" -std=c17 -I"$includes" "$@" -S -o - "$source" 2> /dev/null) || continue
    kernel=$(printf '%s\n' "$assembly" | sed -n '/^multiply:/,/\.size[[:space:]]*multiply/p')
    products=$(printf '%s\n' "$kernel" | grep -c vdpbf16ps || true)
    spills=$(printf '%s\n' "$kernel" | grep -cE 'zmm.*\(%r[sb]p\)|\(%r[sb]p\).*zmm' || true)
    tried=$((tried + 1))
    [ "$products" -eq 24 ] && [ "$spills" -eq 0 ] && continue
    echo "$compiler: $products products of pairs (24 are written), $spills times a vector on the stack"
    failed=1
done
[ "$tried" -gt 0 ] || { echo "no compiler here knows vdpbf16ps"; exit 77; }
exit $failed
