weft schedule schedules/custom.csv --format json >a && weft schedule schedules/custom.csv --json >b && cmp a b && cat a
