#!/bin/sh
# install.sh MESON BUILD: what make install puts on a machine is the command and nothing else.
set -eu
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
DESTDIR=$trial "$1" install -C "$2" --no-rebuild >"$trial/log"
rm "$trial/log"
found=$(cd "$trial" && find . ! -type d)
if [ "$(basename "$found")" != weft ] || [ ! -x "$trial/$found" ]; then
    printf 'installed:\n%s\n' "$found"
    exit 1
fi
