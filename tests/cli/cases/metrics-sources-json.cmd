weft metrics curves/blend --key loss_by_source --json
