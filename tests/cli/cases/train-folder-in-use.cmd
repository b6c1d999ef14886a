mkdir -p run/train; flock run/train weft train train.yaml; status=$?; ls run/train; exit $status
