weft train train.yaml model.vocabulary=50; status=$?; ls; exit $status
