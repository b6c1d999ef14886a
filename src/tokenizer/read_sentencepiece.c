#include "tokenizer/parts.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* tokenizer.model is a message of protobuf: sentencepiece_model.proto of github.com/google/sentencepiece. */
typedef struct field {
    uint64_t number, value; /* value: of a varint, or the bits of a fixed one */
    const unsigned char *bytes;
    size_t length; /* of a part with a length */
    int wire;
} field;

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

typedef struct span {
    const unsigned char *at, *end;
} span;

static bool take_varint(span *from, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && from->at < from->end; shift += 7) {
        unsigned char c = *from->at++;
        *out |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) return true;
    }
    return false;
}

static bool take_fixed(span *from, size_t bytes, uint64_t *out)
{
    *out = 0;
    if ((size_t)(from->end - from->at) < bytes) return false;
    for (size_t i = 0; i < bytes; i++) *out |= (uint64_t)*from->at++ << (8 * i);
    return true;
}

/* The next field; false at something that is none. */
static bool take_field(span *from, field *out)
{
    uint64_t tag = 0, length = 0;
    *out = (field){0};
    if (!take_varint(from, &tag)) return false;
    out->number = tag >> 3;
    out->wire = (int)(tag & 7);
    switch (out->wire) {
    case WIRE_VARINT:
        return take_varint(from, &out->value);
    case WIRE_64:
        return take_fixed(from, 8, &out->value);
    case WIRE_32:
        return take_fixed(from, 4, &out->value);
    case WIRE_LENGTH:
        if (!take_varint(from, &length) || length > (uint64_t)(from->end - from->at)) return false;
        out->bytes = from->at;
        out->length = (size_t)length;
        from->at += length;
        return true;
    default:
        return false;
    }
}

static bool is_field(const field *f, uint64_t number, int wire)
{
    return f->number == number && f->wire == wire;
}

static weft_status refuse_bytes(weft_error *error)
{
    FAIL(error, WEFT_INVALID, "is damaged: no model of SentencePiece ends like this");
}

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };
enum { MODEL_BPE = 2 };

typedef struct reading_model {
    weft_tokenizer *tokenizer;
    float *scores; /* by id */
    size_t capacity;
    int64_t model, begin_of_text, end_of_text;
    bool byte_fallback, suffix, prefix, squeeze, escape;
    const unsigned char *charsmap;
    size_t charsmap_length;
    weft_error *error;
} reading_model;

static weft_status add_piece_bytes(reading_model *r, const field *text, int64_t type, int32_t id)
{
    static const weft_token_kind kinds[] = {[TYPE_NORMAL] = WEFT_TOKEN_PLAIN,
                                            [TYPE_UNKNOWN] = WEFT_TOKEN_UNKNOWN,
                                            [TYPE_CONTROL] = WEFT_TOKEN_SPECIAL,
                                            [TYPE_USER] = WEFT_TOKEN_PLAIN,
                                            [TYPE_BYTE] = WEFT_TOKEN_BYTE};
    weft_tokenizer *tokenizer = r->tokenizer;
    unsigned char byte = 0;
    const unsigned char *bytes = text->bytes;
    size_t length = text->length;
    if (type == TYPE_BYTE) {
        char name[7] = "";
        memcpy(name, bytes, length == 6 ? 6 : 0);
        char *end = NULL;
        byte = (unsigned char)strtoul(name[0] == '<' ? name + 1 : "", &end, 16);
        if (*end != '>') FAIL(r->error, WEFT_INVALID, "piece %d is called a byte and is none", id);
        tokenizer->bytes[byte] = id;
        bytes = &byte;
        length = 1;
    }
    if (type == TYPE_UNKNOWN) tokenizer->unknown = id;
    TRY(weft_vocabulary_add(&tokenizer->vocabulary, id, bytes, length, kinds[type], r->error));
    if (type == TYPE_USER) {
        weft_added_token token = {.name = bytes, .length = length, .id = id};
        return weft_added_add(&tokenizer->raw, token, r->error);
    }
    if (type != TYPE_NORMAL) return WEFT_OK;
    bool fresh = false;
    TRY(weft_vocabulary_enter(&tokenizer->vocabulary, id, &fresh, r->error));
    if (!fresh)
        FAIL(r->error, WEFT_INVALID, "piece %d, %.*s, stands there twice", id, (int)length, (const char *)bytes);
    return WEFT_OK;
}

static weft_status read_piece(reading_model *r, span piece)
{
    field f, text = {0};
    float score = 0;
    int64_t type = TYPE_NORMAL;
    while (piece.at < piece.end) {
        if (!take_field(&piece, &f)) return refuse_bytes(r->error);
        uint32_t bits = (uint32_t)f.value;
        if (is_field(&f, 1, WIRE_LENGTH)) text = f;
        if (is_field(&f, 2, WIRE_32)) memcpy(&score, &bits, sizeof score);
        if (is_field(&f, 3, WIRE_VARINT)) type = (int64_t)f.value;
    }
    size_t id = r->tokenizer->vocabulary.count;
    if (!text.length) FAIL(r->error, WEFT_INVALID, "piece %zu is empty", id);
    for (size_t at = 0; at < text.length;) {
        int bytes = weft_utf8_length(text.bytes + at, text.length - at);
        if (bytes == 0) FAIL(r->error, WEFT_INVALID, "piece %zu is not UTF-8", id);
        at += (size_t)bytes;
    }
    if (!isfinite(score)) FAIL(r->error, WEFT_INVALID, "piece %zu has no finite score", id);
    if (type == TYPE_UNUSED) FAIL(r->error, WEFT_INVALID, "piece %zu is marked as unused: weft does not know this", id);
    if (type < TYPE_NORMAL || type > TYPE_BYTE)
        FAIL(r->error, WEFT_INVALID, "piece %zu has the type %lld", id, (long long)type);
    if (id >= WEFT_MOST_TOKENS) FAIL(r->error, WEFT_INVALID, "has more than %d pieces", WEFT_MOST_TOKENS);
    TRY(weft_grow(&r->scores, &r->capacity, id + 1, sizeof *r->scores, r->error));
    r->scores[id] = score;
    return add_piece_bytes(r, &text, type, (int32_t)id);
}

/* Numbers of the TrainerSpec. */
static weft_status read_trainer(reading_model *r, span spec)
{
    field f;
    while (spec.at < spec.end) {
        if (!take_field(&spec, &f)) return refuse_bytes(r->error);
        if (is_field(&f, 3, WIRE_VARINT)) r->model = (int64_t)f.value;
        if (is_field(&f, 24, WIRE_VARINT)) r->suffix = f.value != 0;
        if (is_field(&f, 35, WIRE_VARINT)) r->byte_fallback = f.value != 0;
        if (is_field(&f, 41, WIRE_VARINT)) r->begin_of_text = (int32_t)f.value;
        if (is_field(&f, 42, WIRE_VARINT)) r->end_of_text = (int32_t)f.value;
    }
    return WEFT_OK;
}

/* Of the NormalizerSpec. */
static weft_status read_normalizer_spec(reading_model *r, span spec)
{
    field f;
    while (spec.at < spec.end) {
        if (!take_field(&spec, &f)) return refuse_bytes(r->error);
        if (is_field(&f, 3, WIRE_VARINT)) r->prefix = f.value != 0;
        if (is_field(&f, 4, WIRE_VARINT)) r->squeeze = f.value != 0;
        if (is_field(&f, 5, WIRE_VARINT)) r->escape = f.value != 0;
        if (is_field(&f, 2, WIRE_LENGTH)) {
            r->charsmap = f.bytes;
            r->charsmap_length = f.length;
        }
    }
    return WEFT_OK;
}

static weft_status read_fields(reading_model *r, span model)
{
    field f;
    while (model.at < model.end) {
        if (!take_field(&model, &f)) return refuse_bytes(r->error);
        if (f.wire != WIRE_LENGTH) continue;
        span part = {f.bytes, f.bytes + f.length};
        if (f.number == 1) TRY(read_piece(r, part));
        if (f.number == 2) TRY(read_trainer(r, part));
        if (f.number == 3) TRY(read_normalizer_spec(r, part));
    }
    return WEFT_OK;
}

static weft_status check_model(const reading_model *r)
{
    static const char *const names[] = {"of no known kind", "Unigram", "BPE", "Word", "Char"};
    bool known = r->model >= 1 && r->model <= 4;
    if (r->model != MODEL_BPE)
        FAIL(r->error, WEFT_INVALID, "the model is %s; weft reads BPE alone", names[known ? r->model : 0]);
    if (r->suffix || !r->escape)
        FAIL(r->error, WEFT_INVALID, "blanks are %s: weft does not know this", r->suffix ? "suffixes" : "not escaped");
    if (r->tokenizer->unknown < 0) FAIL(r->error, WEFT_INVALID, "no piece stands for the unknown");
    for (int byte = 0; r->byte_fallback && byte < 256; byte++)
        if (r->tokenizer->bytes[byte] < 0) FAIL(r->error, WEFT_INVALID, "there is no piece for the byte 0x%02x", byte);
    return WEFT_OK;
}

/* SentencePiece maps characters, then drops blanks, then marks them. */
static weft_status add_normal_steps(const reading_model *r)
{
    weft_normalizer *marker = &r->tokenizer->marker;
    if (r->charsmap_length) TRY(weft_normalizer_add_charsmap(marker, r->charsmap, r->charsmap_length, r->error));
    if (r->squeeze) TRY(weft_normalizer_add(marker, WEFT_NORMAL_SQUEEZE, NULL, "", r->error));
    if (r->prefix) TRY(weft_normalizer_add(marker, WEFT_NORMAL_DUMMY, NULL, " ", r->error));
    return weft_normalizer_add(marker, WEFT_NORMAL_REPLACE, " ", "\xe2\x96\x81", r->error);
}

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int compare_scores(const void *left, const void *right)
{
    const scored *a = left, *b = right;
    return (a->score < b->score) - (a->score > b->score);
}

/* Ranks by id: the best score is 0, equal scores have equal ranks. */
static weft_status make_ranks(const reading_model *r, int32_t *ranks)
{
    size_t count = r->tokenizer->vocabulary.count;
    scored *order = NULL;
    TRY(weft_allocate(count, sizeof *order, &order, r->error));
    for (size_t id = 0; id < count; id++) order[id] = (scored){r->scores[id], (int32_t)id};
    qsort(order, count, sizeof *order, compare_scores);
    int32_t rank = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && order[i].score < order[i - 1].score) rank++;
        ranks[order[i].id] = rank;
    }
    weft_free(order);
    return WEFT_OK;
}

static weft_status pair_by_scores(const reading_model *r)
{
    int32_t *ranks = NULL;
    TRY(weft_allocate(r->tokenizer->vocabulary.count, sizeof *ranks, &ranks, r->error));
    weft_status status = make_ranks(r, ranks);
    if (status == WEFT_OK) status = weft_tokenizer_pair_up(r->tokenizer, ranks, r->error);
    weft_free(ranks);
    return status;
}

static int32_t control_id(const weft_tokenizer *tokenizer, int64_t id)
{
    return weft_vocabulary_has(&tokenizer->vocabulary, id) ? (int32_t)id : -1;
}

static weft_status finish(reading_model *r)
{
    weft_tokenizer *tokenizer = r->tokenizer;
    TRY(check_model(r));
    tokenizer->kind = "BPE of SentencePiece";
    tokenizer->characters = tokenizer->fuse_unknown = tokenizer->mend_each_byte = tokenizer->marks_blanks = true;
    tokenizer->drops_first_mark = r->prefix || r->squeeze;
    tokenizer->begin_of_text = control_id(tokenizer, r->begin_of_text);
    tokenizer->end_of_text = control_id(tokenizer, r->end_of_text);
    if (tokenizer->begin_of_text >= 0) TRY(weft_token_list_add(&tokenizer->prefix, tokenizer->begin_of_text, r->error));
    if (!r->byte_fallback)
        for (int byte = 0; byte < 256; byte++) tokenizer->bytes[byte] = -1;
    TRY(add_normal_steps(r));
    TRY(pair_by_scores(r));
    return weft_tokenizer_mark_words(tokenizer, r->error);
}

weft_status weft_tokenizer_read_sentencepiece(weft_tokenizer *tokenizer, const char *text, size_t length,
                                              weft_error *error)
{
    reading_model r = {.tokenizer = tokenizer,
                       .model = 1,
                       .begin_of_text = 1,
                       .end_of_text = 2,
                       .prefix = true,
                       .squeeze = true,
                       .escape = true,
                       .error = error};
    span model = {(const unsigned char *)text, (const unsigned char *)text + length};
    weft_status status = read_fields(&r, model);
    if (status == WEFT_OK) status = finish(&r);
    weft_free(r.scores);
    return status;
}
