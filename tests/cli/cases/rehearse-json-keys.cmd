weft rehearse gpipe --pipeline 2 --microbatches 4 --unit us --forward 200 --backward-input 200 --backward-weight 200 --steps 2 --json | sed 's/-*[0-9][0-9.e+-]*/N/g'
