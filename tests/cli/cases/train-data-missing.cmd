weft train train.yaml data.path=nothing.txt; status=$?; ls; exit $status
