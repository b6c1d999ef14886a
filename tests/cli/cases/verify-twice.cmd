weft verify schedules/twice.csv
