weft simulate gpipe --pipeline 2 --microbatches 1 --comm 0.5 --unit ms --trace step.json >/dev/null && cat step.json
