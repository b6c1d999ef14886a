{ printf "\357\273\277"; weft schedule 1f1b --pipeline 2 --microbatches 2 --format csv; } >bom.csv; weft verify bom.csv
