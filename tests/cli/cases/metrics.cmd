LC_ALL=C.UTF-8 weft metrics curves/warp
