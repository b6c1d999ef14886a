rm measured/timelines/step-*[123].csv; weft timeline measured
