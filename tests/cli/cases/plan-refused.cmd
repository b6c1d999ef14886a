weft plan plan/model.yaml plan/cluster.yaml --batch 64 --top 3 --refused --screen-only
