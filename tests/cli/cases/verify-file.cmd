weft verify schedules/custom.csv && weft verify schedules/split.csv --pipeline 2 --loops 1 --microbatches 2 --json
