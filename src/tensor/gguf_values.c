/* What keys have, as what somebody asks for. All of it was proved to be there when the file was opened. */
#include "tensor/gguf_parts.h"

#include <string.h>

static bool is_whole(weft_gguf_kind kind)
{
    return kind <= WEFT_GGUF_INT32 || kind == WEFT_GGUF_UINT64 || kind == WEFT_GGUF_INT64;
}

static weft_status refuse(const weft_gguf *file, const weft_gguf_value *value, const char *what, weft_error *error)
{
    FAIL(error, WEFT_INVALID, "%s: %.80s: %s is expected here", file->path, value->key, what);
}

/* A number of the file, with its sign; false above INT64_MAX. */
static bool read_whole(weft_gguf_kind kind, const unsigned char *at, int64_t *out)
{
    bool sign = kind == WEFT_GGUF_INT8 || kind == WEFT_GGUF_INT16 || kind == WEFT_GGUF_INT32 || kind == WEFT_GGUF_INT64;
    size_t bytes = weft_gguf_kind_bytes[kind];
    uint64_t number = weft_gguf_number_at(at, bytes);
    if (sign && bytes < 8 && number >> (8 * bytes - 1)) number |= UINT64_MAX << 8 * bytes;
    *out = (int64_t)number;
    return sign || *out >= 0;
}

weft_status weft_gguf_whole(const weft_gguf *file, const weft_gguf_value *value, int64_t *out, weft_error *error)
{
    if (value->array || !is_whole(value->kind) || !read_whole(value->kind, value->at, out))
        return refuse(file, value, "a whole number", error);
    return WEFT_OK;
}

weft_status weft_gguf_number(const weft_gguf *file, const weft_gguf_value *value, double *out, weft_error *error)
{
    float single = 0;
    int64_t whole = 0;
    if (!value->array && value->kind == WEFT_GGUF_FLOAT64) {
        memcpy(out, value->at, sizeof *out);
    } else if (!value->array && value->kind == WEFT_GGUF_FLOAT32) {
        memcpy(&single, value->at, sizeof single);
        *out = (double)single;
    } else if (!value->array && is_whole(value->kind) && read_whole(value->kind, value->at, &whole)) {
        *out = (double)whole;
    } else {
        return refuse(file, value, "a number", error);
    }
    return WEFT_OK;
}

weft_status weft_gguf_truth(const weft_gguf *file, const weft_gguf_value *value, bool *out, weft_error *error)
{
    if (value->array || value->kind != WEFT_GGUF_BOOL || *value->at > 1)
        return refuse(file, value, "true or false", error);
    *out = *value->at == 1;
    return WEFT_OK;
}

weft_status weft_gguf_string(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_text *out,
                             weft_error *error)
{
    weft_gguf_items items = {value, value->at};
    if (value->array || value->kind != WEFT_GGUF_STRING) return refuse(file, value, "a text", error);
    *out = weft_gguf_next_string(&items);
    return WEFT_OK;
}

bool weft_gguf_text_is(weft_gguf_text text, const char *word)
{
    return strlen(word) == text.length && memcmp(word, text.bytes, text.length) == 0;
}

static weft_status begin(const weft_gguf *file, const weft_gguf_value *value, bool fits, const char *what,
                         weft_gguf_items *out, weft_error *error)
{
    if (!value->array || !fits) return refuse(file, value, what, error);
    *out = (weft_gguf_items){value, value->at};
    return WEFT_OK;
}

weft_status weft_gguf_strings(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_items *out,
                              weft_error *error)
{
    return begin(file, value, value->kind == WEFT_GGUF_STRING, "a list of texts", out, error);
}

weft_status weft_gguf_wholes(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_items *out,
                             weft_error *error)
{
    return begin(file, value, is_whole(value->kind), "a list of whole numbers", out, error);
}

weft_status weft_gguf_floats(const weft_gguf *file, const weft_gguf_value *value, weft_gguf_items *out,
                             weft_error *error)
{
    return begin(file, value, value->kind == WEFT_GGUF_FLOAT32, "a list of FLOAT32", out, error);
}

weft_gguf_text weft_gguf_next_string(weft_gguf_items *items)
{
    int64_t length = 0;
    (void)read_whole(WEFT_GGUF_UINT64, items->at, &length);
    weft_gguf_text text = {(const char *)items->at + 8, (size_t)length};
    items->at += 8 + text.length;
    return text;
}

int64_t weft_gguf_next_whole(weft_gguf_items *items)
{
    int64_t number = 0;
    if (!read_whole(items->value->kind, items->at, &number)) number = INT64_MAX;
    items->at += weft_gguf_kind_bytes[items->value->kind];
    return number;
}

float weft_gguf_next_float(weft_gguf_items *items)
{
    float number;
    memcpy(&number, items->at, sizeof number);
    items->at += sizeof number;
    return number;
}
