weft verify schedules/early.csv
