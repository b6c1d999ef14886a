(ulimit -f 8; weft simulate gpipe --pipeline 8 --microbatches 100 --svg step.svg >/dev/null); status=$?; ls step.svg* 2>/dev/null; exit $status
