weft verify schedules/custom.csv --pipeline 4
