sed -i 's/layers/layres/' measured/timelines/config.yaml; weft timeline measured
