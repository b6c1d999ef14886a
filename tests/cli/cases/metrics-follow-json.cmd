weft metrics curves/warp --follow --json
