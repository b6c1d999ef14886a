#include "tokenizer/parts.h"

#include <string.h>

static bool begins_character(unsigned char c)
{
    return (c & 0xc0) != 0x80;
}

weft_status weft_tokenizer_pair_up(weft_tokenizer *tokenizer, const int32_t *ranks, weft_error *error)
{
    const weft_vocabulary *vocabulary = &tokenizer->vocabulary;
    for (size_t id = 0; id < vocabulary->count; id++) {
        const weft_token *token = &vocabulary->tokens[id];
        const unsigned char *bytes = vocabulary->bytes + token->start;
        if (token->kind != WEFT_TOKEN_PLAIN) continue;
        for (size_t cut = 1; cut < token->length; cut++) {
            if (tokenizer->characters && !begins_character(bytes[cut])) continue;
            int32_t left = weft_vocabulary_find(vocabulary, bytes, cut);
            int32_t right = left < 0 ? -1 : weft_vocabulary_find(vocabulary, bytes + cut, token->length - cut);
            if (right < 0) continue;
            weft_merge merge = {.left = left, .right = right, .rank = ranks[id], .id = (int32_t)id};
            TRY(weft_merges_add(&tokenizer->merges, merge, error));
        }
    }
    return WEFT_OK;
}

/* Whether a U+2581 stands behind something else in these bytes. */
static bool has_inner_mark(const unsigned char *bytes, size_t length)
{
    const unsigned char *end = bytes + length;
    const unsigned char *rest = weft_scan_marked(bytes, end);
    return rest < end;
}

weft_status weft_tokenizer_mark_words(weft_tokenizer *tokenizer, weft_error *error)
{
    const weft_vocabulary *vocabulary = &tokenizer->vocabulary;
    for (size_t i = 0; i < tokenizer->merges.slot_count; i++) {
        const weft_merge *merge = &tokenizer->merges.slots[i];
        if (merge->left < 0) continue;
        const weft_token *token = &vocabulary->tokens[merge->id];
        if (has_inner_mark(vocabulary->bytes + token->start, token->length)) return WEFT_OK;
    }
    /* An unknown mark could be fused with what is unknown before it. */
    if (weft_vocabulary_find(vocabulary, "\xe2\x96\x81", 3) < 0) return WEFT_OK;
    tokenizer->words_begin_at_marks = true;
    return weft_splitter_add_scanner(&tokenizer->splitter, weft_scan_marked, NULL, error);
}
