(weft schedule gpipe --pipeline 8 --microbatches 5000; echo "status $?" >&2) | :
