LC_ALL=C weft metrics curves/blend --key cross_entropy | tail -n 3; LC_ALL=C weft metrics curves/blend | tail -n 2
