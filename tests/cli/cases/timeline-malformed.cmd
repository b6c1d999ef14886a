sed -i '5s/,B,/,G,/' measured/timelines/step-00000002.csv; weft timeline measured
