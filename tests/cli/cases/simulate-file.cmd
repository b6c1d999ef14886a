weft simulate schedules/split.csv --forward 1 --backward-input 1 --backward-weight 0.5 --unit ms
