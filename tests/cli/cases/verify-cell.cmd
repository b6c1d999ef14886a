weft verify schedules/cell.csv
