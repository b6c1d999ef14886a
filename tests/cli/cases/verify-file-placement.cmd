weft verify schedules/custom.csv --placement loop
