weft train train.yaml transport=mpi parallel.pipeline=2; status=$?; ls; exit $status
