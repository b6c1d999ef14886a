#!/bin/sh
# calls.sh CC LIBRARY...: no object of the library prints to the terminal, exits or aborts, by its undefined symbols.
# Proves first, on objects of its own, that it notices.
set -eu
compiler=$1
shift
functions='printf|vprintf|__printf_chk|__vprintf_chk|puts|putchar|perror'
ends='exit|_exit|_Exit|quick_exit|abort|__assert_fail'
[ $# -gt 0 ] || { echo "no libraries given"; exit 1; }

# Prints "OBJECT uses NAME" for every name that is forbidden, and fails when fewer than $1 symbols are there at all.
forbidden_calls() {
    least=$1
    shift
    nm -A -u "$@" 2>/dev/null | awk -v forbidden="^($functions|$ends|stdout|stderr)\$" -v least="$least" '
        $NF ~ forbidden { print $1 " uses " $NF }
        { symbols++ }
        END { if (symbols < least) print "nm found only " symbols + 0 " symbols" }'
}

trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
# expect TEXT YES|NO: whether an object of this source is noticed
expect() {
    printf '%s\n' "$1" >"$trial/a.c"
    # shellcheck disable=SC2086 # a command and its words
    $compiler -c "$trial/a.c" -o "$trial/a.o"
    found=NO
    [ -z "$(forbidden_calls 1 "$trial/a.o")" ] || found=YES
    [ "$found" = "$2" ] || { echo "the checker itself is wrong about: $1"; exit 1; }
}
expect 'int puts(const char *); void f(void); void f(void) { puts("a"); }' YES
expect 'void abort(void); void f(void); void f(void) { abort(); }' YES
expect 'extern struct f *stderr; struct f *f(void); struct f *f(void) { return stderr; }' YES
expect 'int sprintf(char *, const char *, ...); int f(char *); int f(char *a) { return sprintf(a, "%s", a + 9); }' NO

found=$(forbidden_calls 20 "$@")
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
