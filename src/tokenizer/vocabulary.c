#include "tokenizer/vocabulary.h"

#include <string.h>
#include <xxhash.h>

void weft_vocabulary_fini(weft_vocabulary *vocabulary)
{
    weft_free(vocabulary->tokens);
    weft_free(vocabulary->bytes);
    weft_free(vocabulary->slots);
    *vocabulary = (weft_vocabulary){0};
}

weft_status weft_vocabulary_add(weft_vocabulary *vocabulary, int64_t id, const void *bytes, size_t length,
                                weft_token_kind kind, weft_error *error)
{
    if (id < 0 || id >= WEFT_MOST_TOKENS)
        FAIL(error, WEFT_INVALID, "token %.*s has the id %lld; ids are 0 to %d", (int)(length < 64 ? length : 64),
             (const char *)bytes, (long long)id, WEFT_MOST_TOKENS - 1);
    if (weft_vocabulary_has(vocabulary, id))
        FAIL(error, WEFT_INVALID, "tokens %.*s and %.*s have the same id %lld", (int)vocabulary->tokens[id].length,
             (const char *)weft_vocabulary_bytes(vocabulary, (int32_t)id), (int)(length < 64 ? length : 64),
             (const char *)bytes, (long long)id);
    if (length > UINT32_MAX) FAIL(error, WEFT_INVALID, "a token has more than %u bytes", UINT32_MAX);
    TRY(weft_grow(&vocabulary->tokens, &vocabulary->tokens_capacity, (size_t)id + 1, sizeof(weft_token), error));
    TRY(weft_grow(&vocabulary->bytes, &vocabulary->bytes_capacity, vocabulary->used + length + 1, 1, error));
    vocabulary->tokens[id] =
        (weft_token){.start = vocabulary->used, .length = (uint32_t)length, .kind = (unsigned char)kind};
    if (length) memcpy(vocabulary->bytes + vocabulary->used, bytes, length);
    vocabulary->used += length;
    if ((size_t)id >= vocabulary->count) vocabulary->count = (size_t)id + 1;
    return WEFT_OK;
}

/* The slot of these bytes: that of their id, or the empty one where it belongs. */
static size_t find_slot(const weft_vocabulary *vocabulary, const void *bytes, size_t length)
{
    size_t mask = vocabulary->slot_count - 1, at = XXH3_64bits(bytes, length) & mask;
    for (; vocabulary->slots[at]; at = (at + 1) & mask) {
        const weft_token *token = &vocabulary->tokens[vocabulary->slots[at] - 1];
        if (token->length == length && memcmp(vocabulary->bytes + token->start, bytes, length) == 0) break;
    }
    return at;
}

/* At most half of the slots are filled. */
static weft_status make_slots(weft_vocabulary *vocabulary, weft_error *error)
{
    if (2 * (vocabulary->filled + 1) <= vocabulary->slot_count) return WEFT_OK;
    uint32_t *old = vocabulary->slots, *larger = NULL;
    size_t old_count = vocabulary->slot_count, count = old_count ? 2 * old_count : 1024;
    TRY(weft_allocate(count, sizeof *larger, &larger, error));
    vocabulary->slots = larger;
    vocabulary->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        if (!old[i]) continue;
        const weft_token *token = &vocabulary->tokens[old[i] - 1];
        larger[find_slot(vocabulary, vocabulary->bytes + token->start, token->length)] = old[i];
    }
    weft_free(old);
    return WEFT_OK;
}

weft_status weft_vocabulary_enter(weft_vocabulary *vocabulary, int32_t id, bool *out_new, weft_error *error)
{
    TRY(make_slots(vocabulary, error));
    const weft_token *token = &vocabulary->tokens[id];
    size_t at = find_slot(vocabulary, vocabulary->bytes + token->start, token->length);
    *out_new = vocabulary->slots[at] == 0;
    if (!*out_new) return WEFT_OK;
    vocabulary->slots[at] = (uint32_t)id + 1;
    vocabulary->filled++;
    return WEFT_OK;
}

int32_t weft_vocabulary_find(const weft_vocabulary *vocabulary, const void *bytes, size_t length)
{
    if (!vocabulary->slot_count) return -1;
    return (int32_t)vocabulary->slots[find_slot(vocabulary, bytes, length)] - 1;
}
