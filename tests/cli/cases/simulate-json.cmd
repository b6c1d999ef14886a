weft simulate 1f1b --pipeline 8 --microbatches 24 --forward 18.522 --backward-input 18.086 --backward-weight 9.337 --comm 0.601 --unit ms --json
