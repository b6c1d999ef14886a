#include "device/cuda/library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Of the major version that weft was built with: another one's numbers may mean other things. */
static void *open_library(weft_error *error)
{
    char name[32];
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != NULL) return library;
    (void)weft_fail(
        error, WEFT_INVALID,
        "device cuda: %s of CUDA %d cannot be opened: %s; install cuBLAS, or name its folder in LD_LIBRARY_PATH", name,
        CUBLAS_VER_MAJOR, dlerror());
    return NULL;
}

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
#define FUNCTION(name) {#name, offsetof(weft_cuda_library, name)},
#include "device/cuda/library.def"
#undef FUNCTION
};

weft_status weft_cuda_library_open(weft_cuda_library *out, weft_error *error)
{
    void *library = open_library(error);
    if (library == NULL) return WEFT_INVALID;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *found = dlsym(library, functions[i].name);
        if (found == NULL)
            FAIL(error, WEFT_INVALID, "device cuda: libcublasLt.so.%d has no %s: it is too old", CUBLAS_VER_MAJOR,
                 functions[i].name);
        memcpy((char *)out + functions[i].offset, &found, sizeof found);
    }
    return WEFT_OK;
}
