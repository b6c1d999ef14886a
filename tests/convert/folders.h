/* Folders as transformers saves them, of every family, tiny and with random numbers in every tensor. */
#ifndef WEFT_TESTS_CONVERT_FOLDERS_H
#define WEFT_TESTS_CONVERT_FOLDERS_H

#include "base/file.h"
#include "convert/convert.h"
#include "tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

extern char root[];          /* that is made anew for each run */
int make_root(void **state); /* group set-up and tear-down of cmocka */
int remove_root(void **state);

enum { FOLDER_TENSORS = 64 };

typedef struct folder_tensor {
    char name[96];
    int32_t dimensions;
    int64_t shape[2];
    float *values;
} folder_tensor;

/* A folder before it is written: tests change it. */
typedef struct made_folder {
    char path[128];
    const char *family;
    char config[2048]; /* config.json */
    weft_element element;
    int files; /* 1: model.safetensors; more: an index */
    folder_tensor tensors[FOLDER_TENSORS];
    int count;
} made_folder;

enum { FAMILIES = 8 };
extern const char *const families[FAMILIES];

/* where: an existing folder. */
void folder_make(made_folder *folder, const char *where, const char *family);
void folder_write(const made_folder *folder);
void folder_free(made_folder *folder);
folder_tensor *folder_find(made_folder *folder, const char *name);
void folder_add(made_folder *folder, const char *name, int32_t dimensions, int64_t rows, int64_t columns);
/* Puts text in place of the first `old` in config.json, which must be there. */
void folder_replace(made_folder *folder, const char *old, const char *text);

void file_put(const char *folder, const char *name, const char *text);
/* The text of a file, to free. */
char *file_get(const char *folder, const char *name);

#endif
