weft verify schedules/deadlock.csv
