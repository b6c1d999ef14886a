mkfifo pipe; weft timeline measured --costs-out pipe --svg t.svg; status=$?; test -p pipe && test ! -e t.svg && exit $status
