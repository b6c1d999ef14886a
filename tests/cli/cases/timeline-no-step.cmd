rm measured/timelines/step-*; weft timeline measured
