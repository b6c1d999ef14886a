sed -i 's/^  layers: 2/  layers: 8/; s/^  pipeline: 2/&\n  stages: [6, 2]/' measured/timelines/config.yaml; weft timeline measured | tail -n 1; weft timeline measured --json | tail -n 2
