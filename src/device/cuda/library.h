/*
 * cuBLASLt as a table of its functions: opened when a device is created, so that a binary built with CUDA starts where
 * the library is not. Internal to src/device/cuda.
 *
 * Owns: nothing; what was opened stays open until the process ends. Threads: any.
 */
#ifndef WEFT_DEVICE_CUDA_LIBRARY_H
#define WEFT_DEVICE_CUDA_LIBRARY_H

#include "base/status.h"

#include <cublasLt.h>

typedef struct weft_cuda_library {
#define FUNCTION(name) __typeof__(name) *name;
#include "device/cuda/library.def"
#undef FUNCTION
} weft_cuda_library;

/* WEFT_INVALID, which says what was looked for, where it is missing or too old. */
weft_status weft_cuda_library_open(weft_cuda_library *out, weft_error *error) WEFT_CHECKED;

#endif
