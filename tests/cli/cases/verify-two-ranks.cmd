weft verify schedules/two-ranks.csv
