weft verify schedules/custom.csv --memory-cap 2 >/dev/null && weft verify schedules/custom.csv --memory-cap 1
