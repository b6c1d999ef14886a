head -c 500 measured/timelines/step-00000002.csv >cut; mv cut measured/timelines/step-00000002.csv; weft timeline measured
