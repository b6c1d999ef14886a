weft metrics curves/none
