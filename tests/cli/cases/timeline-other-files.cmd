touch measured/timelines/step-5.csv measured/timelines/step-00000005.csv.tmp measured/timelines/step-x.csv; weft timeline measured --step 5
