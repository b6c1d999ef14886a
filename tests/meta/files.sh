#!/bin/sh
# files.sh SRC: files and folders are made by base/file.c alone, which follows no link and waits for no pipe.
set -eu
cd "$1"
found=$(grep -rnE --include='*.[ch]' '\b(fopen|freopen|fdopen|creat|tmpfile|mkstemp|mkdtemp|mkdir|mkfifo|mknod)\(|\bO_CREAT\b' . |
    grep -v -e '^\./base/file\.c:' -e 'fopen([^)]*, "r")' || true)
[ -z "$found" ] || { echo "$found"; exit 1; }
grep -q O_CREAT base/file.c
