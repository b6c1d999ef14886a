weft train train.yaml --json 2>log | tr "," "\n" | sed "s/\": .*/\"/; s/^[{ ]*//"
