head -c 100000 "$(command -v weft)" >binary && weft plan binary plan/cluster.yaml 2>&1
