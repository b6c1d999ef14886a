#include "data/pack.h"

#include <string.h>

enum { OPEN = 256, DOCUMENTS = 1024 }; /* blocks that are open at a time; documents of one */

typedef struct {
    size_t used, documents;
    size_t ends[DOCUMENTS]; /* (documents) */
    int32_t *tokens;        /* (T) */
    bool *learnt;
} block;

struct weft_pack {
    weft_megatron_writer *writer;
    size_t length; /* T */
    int32_t filler;
    block *blocks; /* (OPEN) */
    uint64_t filled, cut;
};

weft_status weft_pack_create(weft_megatron_writer *writer, int64_t tokens, int32_t filler, weft_pack **out,
                             weft_error *error)
{
    weft_pack *pack = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *pack, &pack, error));
    *pack = (weft_pack){.writer = writer, .length = (size_t)tokens, .filler = filler};
    weft_status status = weft_allocate(OPEN, sizeof *pack->blocks, &pack->blocks, error);
    for (int i = 0; i < OPEN && status == WEFT_OK; i++) {
        status = weft_allocate(pack->length, sizeof(int32_t), &pack->blocks[i].tokens, error);
        if (status == WEFT_OK) status = weft_allocate(pack->length, sizeof(bool), &pack->blocks[i].learnt, error);
    }
    if (status == WEFT_OK)
        *out = pack;
    else
        weft_pack_destroy(pack);
    return status;
}

void weft_pack_destroy(weft_pack *pack)
{
    if (!pack) return;
    for (int i = 0; i < OPEN && pack->blocks; i++) {
        weft_free(pack->blocks[i].tokens);
        weft_free(pack->blocks[i].learnt);
    }
    weft_free(pack->blocks);
    weft_free(pack);
}

static weft_status close_block(weft_pack *pack, block *full, weft_error *error)
{
    size_t from = 0;
    for (size_t i = full->used; i < pack->length; i++) {
        full->tokens[i] = pack->filler;
        full->learnt[i] = false;
    }
    pack->filled += pack->length - full->used;
    if (full->used < pack->length) full->ends[full->documents++] = pack->length;
    for (size_t i = 0; i < full->documents; i++) {
        TRY(weft_megatron_writer_add(pack->writer, full->tokens + from, full->learnt + from, full->ends[i] - from,
                                     error));
        TRY(weft_megatron_writer_end(pack->writer, error));
        from = full->ends[i];
    }
    full->used = full->documents = 0;
    return WEFT_OK;
}

static void put(block *into, const int32_t *tokens, const bool *learnt, size_t count)
{
    memcpy(into->tokens + into->used, tokens, count * sizeof *tokens);
    for (size_t i = 0; i < count; i++) into->learnt[into->used + i] = !learnt || learnt[i];
    into->used += count;
    into->ends[into->documents++] = into->used;
}

/* The open block with the least room that is enough, or else an empty one, or else NULL. One document of a block is
 * kept for its filler. */
static block *find_room(weft_pack *pack, size_t count)
{
    block *best = NULL;
    for (int i = 0; i < OPEN; i++) {
        block *each = &pack->blocks[i];
        if (pack->length - each->used < count || each->documents + 1 >= DOCUMENTS) continue;
        if (!best || each->used > best->used) best = each;
    }
    return best;
}

static block *fullest(weft_pack *pack)
{
    block *found = &pack->blocks[0];
    for (int i = 1; i < OPEN; i++)
        if (pack->blocks[i].used > found->used) found = &pack->blocks[i];
    return found;
}

static weft_status add_part(weft_pack *pack, const int32_t *tokens, const bool *learnt, size_t count, weft_error *error)
{
    block *room = find_room(pack, count);
    if (!room) {
        room = fullest(pack);
        TRY(close_block(pack, room, error));
    }
    put(room, tokens, learnt, count);
    return room->used == pack->length ? close_block(pack, room, error) : WEFT_OK;
}

weft_status weft_pack_add(weft_pack *pack, const int32_t *tokens, const bool *learnt, size_t count, weft_error *error)
{
    pack->cut += count > pack->length;
    for (size_t at = 0; at < count; at += pack->length) {
        size_t left = count - at, now = left < pack->length ? left : pack->length;
        TRY(add_part(pack, tokens + at, learnt ? learnt + at : NULL, now, error));
    }
    return WEFT_OK;
}

weft_status weft_pack_flush(weft_pack *pack, weft_error *error)
{
    for (int i = 0; i < OPEN; i++)
        if (pack->blocks[i].used > 0) TRY(close_block(pack, &pack->blocks[i], error));
    return WEFT_OK;
}

uint64_t weft_pack_filled(const weft_pack *pack)
{
    return pack->filled;
}

uint64_t weft_pack_cut(const weft_pack *pack)
{
    return pack->cut;
}
