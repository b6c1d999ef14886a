weft plan plan/config.json plan/cluster.yaml --batch 64 --top 2 --screen-only
