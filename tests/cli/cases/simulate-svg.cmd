weft simulate gpipe --pipeline 2 --microbatches 2 --json --unit ms --svg step.svg >/dev/null && sed -n '/font-size="20"/s/<[^>]*>//gp;/bubble/s/<[^>]*>//gp' step.svg && grep -c '<title>' step.svg
