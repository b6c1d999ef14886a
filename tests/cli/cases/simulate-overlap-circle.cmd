weft simulate schedules/fused.csv && weft simulate schedules/fused.csv --overlap 2
