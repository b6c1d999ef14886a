/*
 * Which tokens are to be learnt: PREFIX.mask beside the PREFIX.bin of a Megatron data set, as weft tokenize writes it
 * for chats. A token whose bit is 0 is read but is no target. Layout: docs/data.md.
 *
 * Owns: nothing; files and paths are the caller's.  Threads: any.
 */
#ifndef WEFT_DATA_MASK_H
#define WEFT_DATA_MASK_H

#include "data/files.h"

enum { WEFT_MASK_HEAD = 16 }; /* bytes: "weftmask", then the number of tokens as uint64; then a bit a token */

void weft_mask_head(uint64_t tokens, unsigned char out[WEFT_MASK_HEAD]);
bool weft_mask_is(const unsigned char *head, size_t count);

/* Adds the file to reader: *out_file. tokens: that there must be. WEFT_INVALID when it is no mask of so many. */
weft_status weft_mask_open(weft_files *reader, const char *path, uint64_t tokens, size_t *out_file,
                           weft_error *error) WEFT_CHECKED;

/* Makes targets[i] -1 where the bit of token first + i is 0. */
weft_status weft_mask_apply(weft_files *reader, size_t file, uint64_t first, size_t count, int32_t *targets,
                            weft_error *error) WEFT_CHECKED;

#endif
