weft plan plan/model.yaml plan/cluster.yaml --calibrate plan/runs.csv --batch 64 --top 1 --screen-only | sed -n '1,4p;/trust/p'
