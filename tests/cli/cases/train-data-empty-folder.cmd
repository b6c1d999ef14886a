mkdir folder; weft train train.yaml data.path=folder; status=$?; ls; exit $status
