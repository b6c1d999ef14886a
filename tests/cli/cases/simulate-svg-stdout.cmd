weft simulate gpipe --pipeline 2 --microbatches 2 --svg /dev/stdout > x.svg; echo $?; test -L /dev/stdout && cat x.svg
