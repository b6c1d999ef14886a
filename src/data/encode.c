#include "data/encode.h"

#include "base/random.h"

#include <inttypes.h>

struct weft_passage_encoder {
    weft_encode_options options;
    weft_encoder *encoder;
    weft_text text; /* of a line of JSONL */
    weft_chat_parts parts;
};

void weft_coded_fini(weft_coded *coded)
{
    weft_token_list_fini(&coded->tokens);
    weft_free(coded->learnt);
    weft_free(coded->past);
    *coded = (weft_coded){0};
}

weft_status weft_passage_encoder_create(const weft_encode_options *options, weft_passage_encoder **out,
                                        weft_error *error)
{
    weft_passage_encoder *encoder = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *encoder, &encoder, error));
    encoder->options = *options;
    weft_text_init(&encoder->text);
    weft_status status = weft_encoder_create(options->tokenizer, &encoder->encoder, error);
    if (status == WEFT_OK)
        *out = encoder;
    else
        weft_passage_encoder_destroy(encoder);
    return status;
}

void weft_passage_encoder_destroy(weft_passage_encoder *encoder)
{
    if (!encoder) return;
    weft_encoder_destroy(encoder->encoder);
    weft_text_fini(&encoder->text);
    weft_chat_parts_fini(&encoder->parts);
    weft_free(encoder);
}

static weft_status add_token(weft_coded *out, int32_t id, weft_error *error)
{
    weft_token_list *tokens = &out->tokens;
    TRY(weft_grow(&tokens->ids, &tokens->capacity, tokens->count + 1, sizeof *tokens->ids, error));
    tokens->ids[tokens->count++] = id;
    return WEFT_OK;
}

/* Tokens since the last mark are learnt, or not. */
static weft_status mark(weft_coded *out, size_t from, bool learnt, weft_error *error)
{
    TRY(weft_grow(&out->learnt, &out->learnt_capacity, out->tokens.count, sizeof *out->learnt, error));
    for (size_t i = from; i < out->tokens.count; i++) out->learnt[i] = learnt;
    return WEFT_OK;
}

static weft_status add_text(weft_passage_encoder *encoder, const char *text, size_t length, unsigned flags,
                            weft_coded *out, weft_error *error)
{
    return weft_encoder_encode(encoder->encoder, text, length, flags, &out->tokens, error);
}

static unsigned text_flags(const weft_encode_options *options)
{
    return options->special ? WEFT_ENCODE_BARE : WEFT_ENCODE_PLAIN;
}

/* Of two places the smaller one first, each in front of a character. */
static void draw_cuts(const weft_fill_middle *fill, uint64_t document, const char *text, size_t length, size_t cuts[2])
{
    weft_random_key key = weft_random_key_make(fill->seed, "fill in the middle");
    for (uint64_t i = 0; i < 2; i++) {
        cuts[i] = (size_t)(weft_random_bits(key, 4 * document + 2 + i) % (length + 1));
        while (cuts[i] < length && ((unsigned char)text[cuts[i]] & 0xc0) == 0x80) cuts[i]++;
    }
    if (cuts[0] <= cuts[1]) return;
    size_t larger = cuts[0];
    cuts[0] = cuts[1];
    cuts[1] = larger;
}

static weft_status add_rearranged(weft_passage_encoder *encoder, uint64_t document, const char *text, size_t length,
                                  weft_coded *out, weft_error *error)
{
    const weft_fill_middle *fill = &encoder->options.fill;
    unsigned flags = text_flags(&encoder->options);
    weft_random_key key = weft_random_key_make(fill->seed, "fill in the middle");
    size_t cuts[2];
    draw_cuts(fill, document, text, length, cuts);
    const char *middle = text + cuts[0], *suffix = text + cuts[1];
    size_t tail = length - cuts[1], between = cuts[1] - cuts[0];
    TRY(add_token(out, fill->prefix, error));
    if (weft_random_uniform(key, 4 * document + 1) < fill->suffix_first) {
        TRY(add_token(out, fill->suffix, error));
        TRY(add_text(encoder, suffix, tail, flags, out, error));
        TRY(add_token(out, fill->middle, error));
        TRY(add_text(encoder, text, cuts[0], flags, out, error));
    } else {
        TRY(add_text(encoder, text, cuts[0], flags, out, error));
        TRY(add_token(out, fill->suffix, error));
        TRY(add_text(encoder, suffix, tail, flags, out, error));
        TRY(add_token(out, fill->middle, error));
    }
    return add_text(encoder, middle, between, flags, out, error);
}

/* What the tokenizer puts round a text stands round all of it. */
static weft_status add_filled(weft_passage_encoder *encoder, uint64_t document, const char *text, size_t length,
                              weft_coded *out, weft_error *error)
{
    unsigned begin = encoder->options.begin ? WEFT_ENCODE_BEGIN : 0;
    TRY(add_text(encoder, "", 0, begin | WEFT_ENCODE_UNENDED, out, error));
    TRY(add_rearranged(encoder, document, text, length, out, error));
    return add_text(encoder, "", 0, begin | WEFT_ENCODE_CONTINUES, out, error);
}

static bool is_filled(const weft_fill_middle *fill, uint64_t document)
{
    if (fill->rate <= 0) return false;
    weft_random_key key = weft_random_key_make(fill->seed, "fill in the middle");
    return weft_random_uniform(key, 4 * document) < fill->rate;
}

/* A part of a longer text is never rearranged: where its other parts are cut is not known. */
static weft_status encode_text(weft_passage_encoder *encoder, const weft_passage *piece, uint64_t document,
                               const char *text, size_t length, weft_coded *out, weft_error *error)
{
    const weft_encode_options *options = &encoder->options;
    if (piece->begins && piece->ends && is_filled(&options->fill, document))
        return add_filled(encoder, document, text, length, out, error);
    unsigned flags = text_flags(options);
    if (options->begin) flags |= WEFT_ENCODE_BEGIN;
    if (!piece->begins) flags |= WEFT_ENCODE_CONTINUES;
    if (!piece->ends) flags |= WEFT_ENCODE_UNENDED;
    return add_text(encoder, text, length, flags, out, error);
}

static weft_status encode_chat(weft_passage_encoder *encoder, const char *line, size_t length, weft_coded *out,
                               weft_error *error)
{
    weft_chat_parts *parts = &encoder->parts;
    TRY(weft_chat_render(encoder->options.chat, line, length, parts, error));
    for (size_t i = 0; i < parts->count; i++) {
        const weft_chat_part *part = &parts->parts[i];
        const char *text = weft_text_get(&parts->text) + part->offset;
        size_t from = out->tokens.count;
        if (part->special)
            TRY(add_token(out, weft_tokenizer_find(encoder->options.tokenizer, text, part->length), error));
        else
            TRY(add_text(encoder, text, part->length, WEFT_ENCODE_PLAIN, out, error));
        TRY(mark(out, from, part->learnt, error));
    }
    return WEFT_OK;
}

static weft_status encode_line(weft_passage_encoder *encoder, const weft_passage *piece, uint64_t document,
                               const char *line, weft_coded *out, weft_error *error)
{
    weft_text *text = &encoder->text;
    if (encoder->options.chat) return encode_chat(encoder, line, piece->length, out, error);
    text->length = 0;
    TRY(weft_record_text(line, piece->length, encoder->options.field, text, error));
    return encode_text(encoder, piece, document, weft_text_get(text), text->length, out, error);
}

/* The end of a text, which a chat has by itself. */
static weft_status end_document(const weft_encode_options *options, weft_coded *out, weft_error *error)
{
    return options->end_of_text < 0 || options->chat ? WEFT_OK : add_token(out, options->end_of_text, error);
}

static weft_status encode_piece(weft_passage_encoder *encoder, const weft_passage *piece, uint64_t document,
                                const char *text, weft_coded *out, weft_error *error)
{
    weft_status status = piece->jsonl ? encode_line(encoder, piece, document, text, out, error)
                                      : encode_text(encoder, piece, document, text, piece->length, out, error);
    if (status == WEFT_OK && piece->ends) status = end_document(&encoder->options, out, error);
    if (status == WEFT_OK || status == WEFT_NO_MEMORY) return status;
    if (piece->jsonl) return weft_error_context(error, "%s:%" PRIu64, piece->path, piece->line);
    return weft_error_context(error, "%s", piece->path);
}

weft_status weft_passage_encoder_run(weft_passage_encoder *encoder, const weft_passage_batch *batch, uint64_t documents,
                                     weft_coded *out, weft_error *error)
{
    out->tokens.count = 0;
    TRY(weft_grow(&out->past, &out->past_capacity, batch->count, sizeof *out->past, error));
    for (size_t i = 0; i < batch->count; i++) {
        const weft_passage *piece = &batch->pieces[i];
        documents += piece->begins;
        TRY(encode_piece(encoder, piece, documents, batch->text.bytes + piece->offset, out, error));
        out->past[i] = out->tokens.count;
    }
    return WEFT_OK;
}
