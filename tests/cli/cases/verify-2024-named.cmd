weft verify schedules/of-2024.csv --dialect 2024
