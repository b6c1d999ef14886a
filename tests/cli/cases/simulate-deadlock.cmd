weft simulate schedules/deadlock.csv
