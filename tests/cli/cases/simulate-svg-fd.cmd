weft simulate gpipe --pipeline 2 --microbatches 2 --svg /dev/fd/1 > x.svg; echo $?; cat x.svg
