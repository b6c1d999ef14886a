sed '3s/A100-SXM-40GB/A100-SXM-80GB/' plan/runs.csv >one.csv
sed 's/A100-SXM-40GB//' plan/runs.csv >unnamed.csv
for file in plan/runs.csv unnamed.csv one.csv; do
    weft plan plan/model.yaml plan/cluster.yaml --calibrate $file --batch 64 --top 1 --screen-only | sed -n '1,2p;/trust/p'
done
weft plan plan/model.yaml H100-SXM-80GB --calibrate plan/runs.csv --batch 64 --top 1 --screen-only | sed -n '1,2p;/trust/p'
