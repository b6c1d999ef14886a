/*
 * The inside of a folder. Internal to convert/.
 *
 * Threads: one owner; many may read.
 */
#ifndef WEFT_CONVERT_FOLDER_H
#define WEFT_CONVERT_FOLDER_H

#include "convert/convert.h"
#include "convert/family.h"
#include "tensor/safetensors.h"

typedef struct weft_folder_file {
    const char *name; /* beside config.json */
    weft_safetensors *tensors;
} weft_folder_file;

/* Rows of a parameter that one tensor holds. */
typedef struct weft_part {
    char name[WEFT_TENSOR_NAME];
    const weft_tensor_entry *entry; /* NULL: it is in no file */
    size_t file;
    int64_t first, rows;
    bool transposed;
} weft_part;

struct weft_folder {
    weft_arena arena;
    const char *path;
    const weft_family *family;
    const char *keys;   /* of the model, YAML */
    weft_config config; /* of config.json */
    weft_model_config model;
    int64_t positions; /* the longest sequence by config.json */
    weft_folder_file *files;
    size_t file_count;
    weft_part tied; /* a head that is stored though it is the embedding; else without an entry */
};

/* Returns how many. */
int weft_folder_parts(const weft_folder *folder, const weft_parameter *parameter, weft_part out[WEFT_FAMILY_PARTS]);

#endif
