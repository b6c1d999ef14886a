weft verify schedules/deadlock.csv --json
