/*
 * Models in the folders of Hugging Face: config.json, safetensors files, whole or in parts with an index, and a
 * tokenizer's files; and in GGUF files. docs/huggingface.md and docs/gguf.md say what is known, and what is refused.
 *
 * Files are hostile input: sizes are proved before memory is taken. Tensors are read and written piece by piece; one
 * that weft has in one (queries, keys and values; gate and up) is several in a folder, and GPT-2's matrices lie there
 * transposed.
 *
 * Owns: a folder owns its maps.  Lifetime: open to close.  Threads: one owner; many may read.
 */
#ifndef WEFT_CONVERT_CONVERT_H
#define WEFT_CONVERT_CONVERT_H

#include "config/config.h"
#include "model/model.h"
#include "tensor/element.h"
#include "tensor/gguf.h"

typedef struct weft_folder weft_folder;

/* Reads config.json and the headers of all files. context: the longest sequence, at most the folder's; 0: that; below
 * 0: that too, and config.json is all that is read, for whoever wants no weights. WEFT_INVALID, with file and key or
 * tensor, for what is missing, has another shape or type, is not known, or would change what the model computes. */
weft_status weft_folder_open(const char *path, int64_t context, weft_folder **out, weft_error *error) WEFT_CHECKED;
void weft_folder_close(weft_folder *folder);
const char *weft_folder_path(const weft_folder *folder);
const weft_model_config *weft_folder_model(const weft_folder *folder);
const char *weft_folder_family(const weft_folder *folder); /* "llama" */

/* The keys of its model as YAML of a configuration, and as one that was read. */
const char *weft_folder_keys(const weft_folder *folder);
const weft_config *weft_folder_config(const weft_folder *folder);

/* Copies a run or a block of an undivided parameter of the model, given as that of a weft_checkpoint_piece is, to out,
 * packed: rows x columns. Keeps no more than a few MiB of the files in memory. WEFT_INVALID, with the tensor and its
 * element, for one that is not finite, or differs from the embedding that the model ties it to. */
weft_status weft_folder_read(const weft_folder *folder, const weft_parameter *parameter, int64_t from, int64_t rows,
                             int64_t columns, float *out, weft_error *error) WEFT_CHECKED;

/* Makes a run folder with a checkpoint of step 0 (weights alone), RUN/config.yaml that trains it and RUN/source with
 * config.json and the tokenizer's files. run must be new or empty; on error it is gone. */
weft_status weft_import(const weft_folder *folder, const char *run, weft_error *error) WEFT_CHECKED;

/* A model in a GGUF file of llama.cpp, see docs/gguf.md: the same for files instead of folders. */
typedef struct weft_gguf_model weft_gguf_model;

/* Whether a path is meant for one: by the end of its name, or the file's first bytes. */
bool weft_gguf_model_is(const char *path);
weft_status weft_gguf_model_open(const char *path, int64_t context, weft_gguf_model **out,
                                 weft_error *error) WEFT_CHECKED;
void weft_gguf_model_close(weft_gguf_model *model); /* accepts NULL */
const weft_model_config *weft_gguf_model_get(const weft_gguf_model *model);
const char *weft_gguf_model_architecture(const weft_gguf_model *model); /* "llama" */

/* Copies a run (rows 1) or a block of an undivided parameter to out, packed: rows x columns, of which the first begins
 * at element from. */
weft_status weft_gguf_model_read(const weft_gguf_model *model, const weft_parameter *parameter, int64_t from,
                                 int64_t rows, int64_t columns, float *out, weft_error *error) WEFT_CHECKED;

/* RUN/source gets a config.json and the files of a tokenizer that are made of what the file holds; where weft does not
 * know its tokenizer, out_missing says why, else it stays empty. */
weft_status weft_gguf_import(const weft_gguf_model *model, const char *run, weft_text *out_missing,
                             weft_error *error) WEFT_CHECKED;

typedef struct weft_export_options {
    weft_element element;
    int64_t file_bytes; /* most bytes of tensors in a file; one tensor may be more; 0: no limit */
} weft_export_options;

/* Makes a folder of a checkpoint's weights, or of a run's latest one's: of the family that the run came from, else of
 * the first that has such models. to must be new or empty; on error it is gone. WEFT_INVALID also where no family has
 * such a model, or a weight does not fit the element type. */
weft_status weft_export(const char *checkpoint, const char *to, const weft_export_options *options,
                        weft_error *error) WEFT_CHECKED;

/* The same as a GGUF file, in the place of one of this name that there may be. Matrices get the type, F32, F16, BF16 or
 * Q8_0 (F16 where a row is no whole blocks), vectors F32. The tokenizer is the one in the run's source, else its
 * data's; where llama.cpp has no word for it, or there is none, out_missing says why, and the file has none. */
weft_status weft_gguf_export(const char *checkpoint, const char *file, weft_gguf_type type, weft_text *out_missing,
                             weft_error *error) WEFT_CHECKED;

#endif
