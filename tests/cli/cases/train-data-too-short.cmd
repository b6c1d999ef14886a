echo hello >short.txt; weft train train.yaml data.path=short.txt; status=$?; ls; exit $status
