weft verify schedules/missing.csv --json
