/* The element types of matrices that weft gives to cuBLASLt; values are the toolkit's. */
#ifndef WEFT_TESTS_CUDA_LIBRARY_TYPES_H
#define WEFT_TESTS_CUDA_LIBRARY_TYPES_H

typedef enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16BF = 14 } cudaDataType_t;
typedef cudaDataType_t cudaDataType;

#endif
