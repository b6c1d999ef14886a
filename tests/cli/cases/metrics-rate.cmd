LC_ALL=C weft metrics curves/warp --key learning_rate --from 5
