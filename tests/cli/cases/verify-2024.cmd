weft verify schedules/of-2024.csv
