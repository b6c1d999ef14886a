weft metrics curves/warp --linear --logarithmic
