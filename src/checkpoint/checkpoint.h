/*
 * Checkpoints: RUN/step-00000100/ with checkpoint.yaml (configuration, state, list of files with sizes and XXH3
 * checksums) and safetensors files with tensors by name, whole or in parts: weights-KKKKK-of-NNNNN.safetensors and
 * moment1-..., moment2-..., one of each kind a writing rank. Complete or absent: written to step-00000100.tmp, synced,
 * proved to hold each element of each tensor once, renamed. docs/checkpoint.md is the format.
 *
 * How tensors are cut into pieces and which rank writes which means nothing to those who read.
 *
 * Threads: each function may be called by one thread at a time per folder, weft_checkpoint_read by any. Those that go
 * through whole files do so with threads of their own, a file each, which are gone when they return.
 */
#ifndef WEFT_CHECKPOINT_CHECKPOINT_H
#define WEFT_CHECKPOINT_CHECKPOINT_H

#include "config/config.h"
#include "tensor/safetensors.h"

typedef enum weft_checkpoint_kind {
    WEFT_CHECKPOINT_WEIGHTS,
    WEFT_CHECKPOINT_MOMENT1,
    WEFT_CHECKPOINT_MOMENT2,
    WEFT_CHECKPOINT_KINDS
} weft_checkpoint_kind;

/* One file as its writer knows it: fixed size, so that ranks can exchange it as bytes. name is empty when not written.
 */
typedef struct weft_checkpoint_file {
    char name[64];
    uint64_t bytes, checksum;
} weft_checkpoint_file;

/* What is known of the steps that were skipped, and of those that steps to come are compared with. */
typedef struct weft_checkpoint_skips {
    int64_t skipped, in_a_row;    /* steps of the whole run; of these the last ones */
    int64_t count;                /* at most WEFT_CHECKPOINT_WINDOW */
    const double *losses, *norms; /* (count) of the last steps that were not skipped, the oldest first; borrowed */
} weft_checkpoint_skips;

enum { WEFT_CHECKPOINT_WINDOW = 65536 }; /* = the most of optimizer.skip_window */

typedef struct weft_checkpoint_state {
    int64_t step;      /* steps finished */
    int64_t sequences; /* of training data that they have read, all data-parallel workers together: at least one each */
    uint64_t data_fingerprint;
    double loss; /* of the last step */
    weft_checkpoint_skips skips;
} weft_checkpoint_state;

/* Part of a tensor, whose elements are counted in row-major order. One row is a run of `columns` elements from element
 * `from`, over as many rows of the tensor as it takes. More rows are a block: so many runs of `columns` elements, none
 * of which goes over the end of a row of the tensor (its last dimension), each a row behind the one before. Everything
 * is borrowed. */
typedef struct weft_checkpoint_piece {
    const char *name; /* of the tensor; printable ASCII without '#' */
    int32_t dimensions;
    const int64_t *shape; /* of the whole tensor */
    int64_t from, rows, columns;
    const float *values; /* rows x columns, packed; may be NULL when that is nothing */
} weft_checkpoint_piece;

/* Empties and makes FOLDER/step-XXXXXXXX.tmp. One rank calls it, before the others write. */
weft_status weft_checkpoint_begin(const char *folder, int64_t step, weft_error *error) WEFT_CHECKED;

/* Writes this rank's pieces of one kind, in the order given, into the .tmp folder; ranks may write side by side. The
 * values come from a source; NULL: they are in memory of the host. A part without elements is left out; when nothing is
 * left, no file is written and out's name is empty. WEFT_INVALID: a piece that does not lie in its shape, a name that
 * no tensor can have, two pieces of a tensor with the same first element. */
weft_status weft_checkpoint_write(const weft_tensor_source *source, const char *folder, int64_t step,
                                  weft_checkpoint_kind kind, int32_t rank, int32_t ranks,
                                  const weft_checkpoint_piece *pieces, size_t count, weft_checkpoint_file *out,
                                  weft_error *error) WEFT_CHECKED;

/* Pieces of one kind; borrowed. */
typedef struct weft_checkpoint_list {
    const weft_checkpoint_piece *pieces;
    size_t count;
} weft_checkpoint_list;

/* The files of all kinds of this rank, as weft_checkpoint_write writes each. Where the values are in memory of the host
 * the files are written and synced side by side; a source is asked for one after the other. Of several errors the one
 * of the first kind is told. */
weft_status weft_checkpoint_write_kinds(const weft_tensor_source *source, const char *folder, int64_t step,
                                        int32_t rank, int32_t ranks,
                                        const weft_checkpoint_list lists[WEFT_CHECKPOINT_KINDS],
                                        weft_checkpoint_file out[WEFT_CHECKPOINT_KINDS],
                                        weft_error *error) WEFT_CHECKED;

/* Writes checkpoint.yaml (config_yaml: text of weft_config_dump), proves from the files' headers that the pieces of all
 * ranks make whole tensors (else WEFT_FAILED, naming tensor and elements), syncs and renames. One rank, after all have
 * written. On error the .tmp folder is gone and no earlier checkpoint has changed. After the renaming it removes the
 * oldest complete checkpoints beyond keep (keep < 1 keeps all), the one it replaced and left-over .tmp folders of
 * earlier steps; what cannot be removed is no error: it is in nobody's way, and the next call tries again. */
weft_status weft_checkpoint_publish(const char *folder, const weft_checkpoint_state *state, const char *config_yaml,
                                    const weft_checkpoint_file *files, size_t file_count, int64_t keep,
                                    weft_error *error) WEFT_CHECKED;
void weft_checkpoint_discard(const char *folder, int64_t step); /* removes the .tmp folder after a failure */

typedef struct weft_checkpoint weft_checkpoint;

/* path: a checkpoint folder, or a run folder (its latest checkpoint, WEFT_INVALID when that has lost its
 * checkpoint.yaml). Before anything is handed out, size and checksum of every file are proved, and that the pieces of
 * each tensor hold each of its elements once: WEFT_INVALID names file and offset or checksum, or tensor and elements.
 * Takes memory in proportion to what the files hold, whatever they say. */
weft_status weft_checkpoint_open(const char *path, weft_checkpoint **out, weft_error *error) WEFT_CHECKED;
/* As far as checkpoint.yaml tells of it: nothing of the files is read or proved, and no tensor can be read. */
weft_status weft_checkpoint_open_outline(const char *path, weft_checkpoint **out, weft_error *error) WEFT_CHECKED;
void weft_checkpoint_close(weft_checkpoint *checkpoint);
const char *weft_checkpoint_path(const weft_checkpoint *checkpoint);
const char *weft_checkpoint_config(const weft_checkpoint *checkpoint); /* YAML text */
/* sequences of format 1, which does not say them, are -1 before weft_checkpoint_load_config. */
const weft_checkpoint_state *weft_checkpoint_get_state(const weft_checkpoint *checkpoint);

/* Reads the configuration that the checkpoint was written with, and proves that it says the truth: there are no more
 * steps than run.steps, as many writing ranks as workers, the weights of its model and no others and, beyond step 0,
 * the moments of all that it trains and of nothing else. Needs no memory for what the files do not hold. WEFT_INVALID
 * names tensor and kind, or the key. The caller finishes the configuration. */
weft_status weft_checkpoint_load_config(weft_checkpoint *checkpoint, weft_config *out, weft_error *error) WEFT_CHECKED;

/* Whether there is a tensor of this name and kind. Kinds need not hold the same tensors. */
bool weft_checkpoint_has(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name);

/* Copies a run or a block of a tensor, given as that of a weft_checkpoint_piece is, to out, packed: rows x columns.
 * Touches nothing but what holds its elements, in time for them and for the rows of the pieces, and keeps nothing of
 * the files in memory. WEFT_INVALID when the tensor is missing, its shape differs, or the elements do not lie in it. */
weft_status weft_checkpoint_read(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name,
                                 int32_t dimensions, const int64_t *shape, int64_t from, int64_t rows, int64_t columns,
                                 float *out, weft_error *error) WEFT_CHECKED;

bool weft_checkpoint_is(const char *path); /* whether it is a checkpoint's own folder */

/* Whether a run folder holds a checkpoint, be it damaged. */
bool weft_checkpoint_exists(const char *folder);

/* The latest complete one of an earlier step; -1: there is none, or the folder cannot be read. */
int64_t weft_checkpoint_before(const char *folder, int64_t step);

/* Bit for bit over steps, names, shapes and bytes of all three kinds, and skips where both count some; pieces and files
 * do not matter. *out_same, and when false the first difference in words (kind, tensor, element, both values) in
 * out_text. */
weft_status weft_checkpoint_compare(const char *a, const char *b, bool *out_same, weft_text *out_text,
                                    weft_error *error) WEFT_CHECKED;

#endif
