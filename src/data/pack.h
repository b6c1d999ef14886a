/*
 * Documents packed into blocks of T tokens: none is cut that fits into a block; what is left of a block is filled up
 * with a token that is not learnt. Best fit: a document goes into that open block in which the least room remains.
 *
 * Owns: its blocks.  Lifetime: create to destroy.  Threads: one.
 */
#ifndef WEFT_DATA_PACK_H
#define WEFT_DATA_PACK_H

#include "data/megatron_write.h"

typedef struct weft_pack weft_pack;

/* writer: borrowed. tokens: T. filler: a token. */
weft_status weft_pack_create(weft_megatron_writer *writer, int64_t tokens, int32_t filler, weft_pack **out,
                             weft_error *error) WEFT_CHECKED;
void weft_pack_destroy(weft_pack *pack); /* accepts NULL */

/* A document: of what is longer than a block, whole blocks come first. learnt: (count), or NULL: all. */
weft_status weft_pack_add(weft_pack *pack, const int32_t *tokens, const bool *learnt, size_t count,
                          weft_error *error) WEFT_CHECKED;
/* Writes all blocks that are open. */
weft_status weft_pack_flush(weft_pack *pack, weft_error *error) WEFT_CHECKED;

uint64_t weft_pack_filled(const weft_pack *pack); /* tokens that are fillers */
uint64_t weft_pack_cut(const weft_pack *pack);    /* documents that were longer than a block */

#endif
