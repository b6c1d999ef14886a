#include "tokenizer/parts.h"

#include "base/utf8.h"

#include <string.h>

static const unsigned char replacement[] = {0xef, 0xbf, 0xbd};
static const unsigned char mark[] = {0xe2, 0x96, 0x81};

void weft_decoder_init(weft_decoder *decoder, const weft_tokenizer *tokenizer, unsigned flags)
{
    *decoder = (weft_decoder){.tokenizer = tokenizer, .flags = flags};
}

/* Writes whole characters of what is held and of more bytes; holds what may become one. */
static void put(weft_decoder *decoder, const unsigned char *bytes, size_t count, weft_text *out)
{
    if (decoder->flags & WEFT_DECODE_BYTES) {
        weft_text_add_bytes(out, bytes, count);
        return;
    }
    for (size_t i = 0; i < count;) {
        decoder->held[decoder->held_count++] = bytes[i++];
        for (bool complete = true; decoder->held_count && complete;) {
            size_t room = decoder->held_count, used = (size_t)weft_utf8_length(decoder->held, room);
            bool well = used > 0;
            if (!well) used = weft_utf8_broken(decoder->held, room, &complete);
            if (!complete) break;
            weft_text_add_bytes(out, well ? decoder->held : replacement, well ? used : sizeof replacement);
            decoder->held_count -= used;
            memmove(decoder->held, decoder->held + used, decoder->held_count);
        }
    }
}

/* A token in which U+2581 stands for a blank. */
static void put_marked(weft_decoder *decoder, const unsigned char *bytes, size_t count, weft_text *out)
{
    bool drop = decoder->tokenizer->drops_first_mark && !decoder->begun;
    for (size_t i = 0; i < count;) {
        bool blank = count - i >= sizeof mark && memcmp(bytes + i, mark, sizeof mark) == 0;
        size_t used = blank ? sizeof mark : 1;
        if (!(drop && blank && i == 0)) put(decoder, blank ? (const unsigned char *)" " : bytes + i, 1, out);
        i += used;
    }
}

weft_status weft_decoder_add(weft_decoder *decoder, int32_t id, weft_text *out, weft_error *error)
{
    const weft_vocabulary *vocabulary = &decoder->tokenizer->vocabulary;
    if (!weft_vocabulary_has(vocabulary, id))
        FAIL(error, WEFT_INVALID, "the tokenizer has no token with the id %d", id);
    const weft_token *token = &vocabulary->tokens[id];
    const unsigned char *bytes = weft_vocabulary_bytes(vocabulary, id);
    if (token->kind == WEFT_TOKEN_SPECIAL && (decoder->flags & WEFT_DECODE_SKIP_SPECIAL)) return WEFT_OK;
    if (decoder->tokenizer->marks_blanks && token->kind == WEFT_TOKEN_PLAIN)
        put_marked(decoder, bytes, token->length, out);
    else
        put(decoder, bytes, token->length, out);
    decoder->begun = true;
    return weft_text_check(out, error);
}

weft_status weft_decoder_finish(weft_decoder *decoder, weft_text *out, weft_error *error)
{
    if (decoder->held_count) weft_text_add_bytes(out, replacement, sizeof replacement);
    weft_decoder_init(decoder, decoder->tokenizer, decoder->flags);
    return weft_text_check(out, error);
}

weft_status weft_tokenizer_decode(const weft_tokenizer *tokenizer, const int32_t *ids, size_t count, unsigned flags,
                                  weft_text *out, weft_error *error)
{
    weft_decoder decoder;
    weft_decoder_init(&decoder, tokenizer, flags);
    for (size_t i = 0; i < count; i++) TRY(weft_decoder_add(&decoder, ids[i], out, error));
    return weft_decoder_finish(&decoder, out, error);
}
