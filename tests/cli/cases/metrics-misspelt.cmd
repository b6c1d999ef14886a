weft metrics curves/warp --key los
