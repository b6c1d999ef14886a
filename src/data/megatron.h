/*
 * Megatron data sets: PREFIX.bin holds the tokens of all sequences end to end, PREFIX.idx says of which type they are,
 * how long each sequence is and which of them are a document. Layout: megatron/core/datasets/indexed_dataset.py of
 * NVIDIA/Megatron-LM (docs/data.md).
 *
 * Owns: nothing; files and paths are the caller's.  Threads: any.
 */
#ifndef WEFT_DATA_MEGATRON_H
#define WEFT_DATA_MEGATRON_H

#include "base/text.h"
#include "data/files.h"
#include "data/numbers.h"

/* The first bytes of an index. */
enum { WEFT_MEGATRON_HEAD = 34 };

typedef struct weft_megatron {
    size_t file; /* the index in the reader */
    const char *path;
    weft_number_type numbers;
    uint64_t sequences, documents, tokens;
} weft_megatron;

/* The type of tokens that begins so; NONE: no index, or none that is known. */
weft_number_type weft_megatron_numbers(const unsigned char *head, size_t count);
bool weft_megatron_is_index(const unsigned char *head, size_t count);
uint8_t weft_megatron_code(weft_number_type numbers); /* how an index calls the type; 0: not at all */
/* How an index of so many sequences and documents begins. */
void weft_megatron_head(weft_number_type numbers, uint64_t sequences, uint64_t documents,
                        unsigned char out[WEFT_MEGATRON_HEAD]);

/* The other file of a pair: PREFIX.idx of PREFIX.bin, PREFIX.bin of PREFIX.idx, PREFIX.mask or PREFIX. NULL: it is
 * too long. out: (size). */
const char *weft_megatron_beside(const char *path, const char *ending, char *out, size_t size);

/* Adds the index to reader and looks at all of it: sequences lie end to end in a file of tokens of size bytes, and
 * documents are runs of them. path stays the caller's. WEFT_INVALID names the byte of the index that is wrong. */
weft_status weft_megatron_open(weft_megatron *megatron, weft_files *reader, const char *path, uint64_t size,
                               weft_error *error) WEFT_CHECKED;

/* Where the first document that begins behind `token` does; the number of tokens when none does. WEFT_FAILED when the
 * index cannot be read any more. */
weft_status weft_megatron_next(const weft_megatron *megatron, weft_files *reader, uint64_t token, uint64_t *out,
                               weft_error *error) WEFT_CHECKED;

#endif
