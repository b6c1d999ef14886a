weft schedule schedules/of-2024.csv --dialect 2024 --format csv
