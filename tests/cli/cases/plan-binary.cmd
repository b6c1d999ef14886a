weft plan "$(command -v weft)" plan/cluster.yaml 2>&1 | sed "s/^weft plan: .*weft:1:1/weft plan: weft:1:1/"
