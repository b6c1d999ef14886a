LC_ALL=C weft metrics curves/warp curves/weft --svg a.svg >/dev/null && grep -c "<path" a.svg && grep -c "<title>step" a.svg
