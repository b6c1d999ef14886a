weft metrics curves/warp --key loss_by_source
