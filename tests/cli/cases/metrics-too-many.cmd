weft metrics $(yes curves/warp | head -n 27)
