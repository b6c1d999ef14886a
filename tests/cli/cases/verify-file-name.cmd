weft verify schedules/custom.CSV
