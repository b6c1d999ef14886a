sed -i 's/microbatches: 2/microbatches: 3/' measured/timelines/config.yaml; weft timeline measured
