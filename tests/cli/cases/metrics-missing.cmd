weft metrics curves/warp curves/nothing
