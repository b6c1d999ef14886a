#!/bin/sh
# generate.sh WEFT ROOT WORK: seconds a generated token of weft and of transformers with its cache, on a model of
# SmolLM2-135M's shape in fp32, by 1 and 2 threads. torch and transformers are fetched from PyPI into WORK, which is kept;
# where they cannot be had nothing is measured.
set -eu
python3 "$2/tools/transformers_models.py" speed "$1" "$3" 1 2 || [ $? = 77 ]
