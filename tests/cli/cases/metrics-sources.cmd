LC_ALL=C weft metrics curves/blend curves/warp --key loss_by_source
