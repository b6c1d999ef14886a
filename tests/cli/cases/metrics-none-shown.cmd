weft metrics curves/warp curves/weft --from 61
