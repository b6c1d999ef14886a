weft simulate gpipe --pipeline 2 --microbatches 2 --html step.html >/dev/null && head -1 step.html && grep -c '"title":"gpipe, P = 2, M = 2"' step.html
