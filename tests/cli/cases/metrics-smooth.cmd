weft metrics curves/warp --smooth 1
