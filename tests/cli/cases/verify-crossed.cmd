weft verify schedules/crossed.csv
