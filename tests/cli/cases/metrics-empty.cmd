weft metrics curves/empty
