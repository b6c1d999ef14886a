weft schedule schedules/split.csv --format csv && weft schedule schedules/custom.csv
