#!/bin/sh
# calls.sh LIBRARY...: no object of the library prints to the terminal, exits or aborts, by its undefined symbols.
set -eu
forbidden='^(printf|vprintf|__printf_chk|__vprintf_chk|puts|putchar|perror|stdout|stderr|exit|_exit|_Exit|quick_exit|abort|__assert_fail)$'
[ $# -gt 0 ] || { echo "no libraries given"; exit 1; }
nm -A -u "$@" 2>/dev/null | awk -v forbidden="$forbidden" '
    $NF ~ forbidden { print $1 " uses " $NF; bad = 1 }
    { symbols++ }
    END { if (symbols < 20) { print "nm found only " symbols " symbols"; bad = 1 } exit bad }'
