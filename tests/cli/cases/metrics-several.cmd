LC_ALL=C.UTF-8 weft metrics curves/warp/ curves/weft curves/empty --smooth 0.5
