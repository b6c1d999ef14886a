LC_ALL=en_GB.utf8 weft metrics curves/warp curves/weft --key bits_per_byte
