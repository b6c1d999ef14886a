/*
 * checkpoint.yaml: what a checkpoint holds and in which files. docs/checkpoint.md is the format.
 *
 * Owns: a manifest owns its texts and list.  Lifetime: read to fini.  Threads: one owner.
 */
#ifndef WEFT_CHECKPOINT_MANIFEST_H
#define WEFT_CHECKPOINT_MANIFEST_H

#include "checkpoint/checkpoint.h"

#define WEFT_MANIFEST_NAME "checkpoint.yaml"

enum { WEFT_CHECKPOINT_RANKS = 99999 }; /* what five digits of a file's name can say */

#define WEFT_CHECKPOINT_SEQUENCES (INT64_MAX / 2) /* so that a run may go on from there */

typedef struct weft_manifest_numbers {
    double *values;
    size_t count, capacity;
} weft_manifest_numbers;

typedef struct weft_manifest {
    int64_t version;                     /* 1 or 2 */
    weft_checkpoint_state state;         /* sequences -1: version 1 */
    weft_manifest_numbers losses, norms; /* of state.skips */
    int32_t ranks;                       /* that wrote; 0: there is no file */
    const char *config;
    weft_checkpoint_file *files;
    size_t count, capacity;
    weft_arena arena;
} weft_manifest;

const char *weft_checkpoint_kind_name(weft_checkpoint_kind kind);

/* "weights-00001-of-00004.safetensors" for rank 0 of 4. */
void weft_checkpoint_file_name(weft_checkpoint_kind kind, int32_t rank, int32_t ranks, weft_checkpoint_file *out);

/* Whether name is exactly such a name, of which kind and of how many ranks; so no name leads out of its folder. */
bool weft_checkpoint_file_parse(const char *name, weft_checkpoint_kind *out, int32_t *out_ranks);

/* Appends the text of a manifest; files with empty names are left out. */
void weft_manifest_print(const weft_checkpoint_state *state, const char *config, const weft_checkpoint_file *files,
                         size_t count, weft_text *out);

/* WEFT_INVALID names the file and byte, or line and column. On error nothing is left to free. */
weft_status weft_manifest_read(weft_manifest *manifest, const char *path, weft_error *error) WEFT_CHECKED;
/* The same from memory; path is for messages. */
weft_status weft_manifest_parse(weft_manifest *manifest, const void *bytes, size_t count, const char *path,
                                weft_error *error) WEFT_CHECKED;
void weft_manifest_fini(weft_manifest *manifest);

#endif
