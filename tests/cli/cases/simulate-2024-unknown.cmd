weft simulate schedules/of-2024.csv --dialect 2023
