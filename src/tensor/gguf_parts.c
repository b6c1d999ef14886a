/* Keys with their values, and the list of tensors, one by one. */
#include "tensor/gguf_parts.h"

#include <inttypes.h>
#include <string.h>

/* llama.cpp takes names of tensors of less than 64 bytes, the format names of keys of less than 64 KiB. */
enum { LONGEST_KEY = 65535, LONGEST_NAME = 255 };

const size_t weft_gguf_kind_bytes[WEFT_GGUF_KINDS] = {
    [WEFT_GGUF_UINT8] = 1,  [WEFT_GGUF_INT8] = 1,  [WEFT_GGUF_UINT16] = 2,  [WEFT_GGUF_INT16] = 2,
    [WEFT_GGUF_UINT32] = 4, [WEFT_GGUF_INT32] = 4, [WEFT_GGUF_FLOAT32] = 4, [WEFT_GGUF_BOOL] = 1,
    [WEFT_GGUF_UINT64] = 8, [WEFT_GGUF_INT64] = 8, [WEFT_GGUF_FLOAT64] = 8,
};

weft_status weft_gguf_take(weft_gguf_cursor *from, uint64_t count, const unsigned char **out)
{
    const weft_map *map = &from->file->map;
    if (count > map->size - from->at)
        FAIL(from->error, WEFT_INVALID, "%s: truncated at byte %zu: %" PRIu64 " bytes are expected from byte %zu on",
             from->file->path, map->size, count, from->at);
    *out = map->bytes + from->at;
    from->at += (size_t)count;
    return WEFT_OK;
}

uint64_t weft_gguf_number_at(const unsigned char *bytes, size_t count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++) number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

weft_status weft_gguf_take_number(weft_gguf_cursor *from, size_t bytes, uint64_t *out)
{
    const unsigned char *at = NULL;
    TRY(weft_gguf_take(from, bytes, &at));
    *out = weft_gguf_number_at(at, bytes);
    return WEFT_OK;
}

/* A length of 8 bytes and a text of it. */
static weft_status take_text(weft_gguf_cursor *from, weft_gguf_text *out)
{
    uint64_t length = 0;
    const unsigned char *at = NULL;
    TRY(weft_gguf_take_number(from, 8, &length));
    TRY(weft_gguf_take(from, length, &at));
    *out = (weft_gguf_text){(const char *)at, (size_t)length};
    return WEFT_OK;
}

/* A copy that ends with a zero byte, of printable ASCII as all names of llama.cpp are. */
static weft_status take_name(weft_gguf_cursor *from, size_t longest, const char **out)
{
    weft_gguf_text text = {0};
    size_t place = from->at;
    char *name = NULL;
    TRY(take_text(from, &text));
    bool good = text.length > 0 && text.length <= longest;
    for (size_t i = 0; i < text.length && good; i++) good = text.bytes[i] > ' ' && text.bytes[i] <= '~';
    if (!good)
        FAIL(from->error, WEFT_INVALID, "%s: byte %zu: a name of 1 to %zu printable characters is expected here",
             from->file->path, place, longest);
    TRY(weft_arena_take(&from->file->arena, text.length + 1, 1, &name, from->error));
    memcpy(name, text.bytes, text.length);
    *out = name;
    return WEFT_OK;
}

static weft_status take_kind(weft_gguf_cursor *from, const char *key, weft_gguf_kind *out)
{
    uint64_t kind = 0;
    TRY(weft_gguf_take_number(from, 4, &kind));
    if (kind >= WEFT_GGUF_KINDS)
        FAIL(from->error, WEFT_INVALID, "%s: key \"%.80s\": the format has no type %" PRIu64, from->file->path, key,
             kind);
    *out = (weft_gguf_kind)kind;
    return WEFT_OK;
}

/* The items' bytes: strings have to be walked through. */
static weft_status skip_items(weft_gguf_cursor *from, weft_gguf_value *value, uint64_t count)
{
    const unsigned char *ignored = NULL;
    weft_gguf_text text;
    size_t left = from->file->map.size - from->at;
    size_t least = value->kind == WEFT_GGUF_STRING ? 8 : weft_gguf_kind_bytes[value->kind];
    if (count > left / least)
        FAIL(from->error, WEFT_INVALID,
             "%s: truncated: key \"%.80s\" states %" PRIu64 " items, for which %zu bytes are left", from->file->path,
             value->key, count, left);
    value->count = (size_t)count;
    value->at = from->file->map.bytes + from->at;
    if (value->kind != WEFT_GGUF_STRING) return weft_gguf_take(from, count * least, &ignored);
    for (size_t i = 0; i < value->count; i++) TRY(take_text(from, &text));
    return WEFT_OK;
}

weft_status weft_gguf_take_value(weft_gguf_cursor *from, weft_gguf_value *out)
{
    uint64_t count = 1;
    TRY(take_name(from, LONGEST_KEY, &out->key));
    TRY(take_kind(from, out->key, &out->kind));
    out->array = out->kind == WEFT_GGUF_ARRAY;
    if (out->array) {
        TRY(take_kind(from, out->key, &out->kind));
        TRY(weft_gguf_take_number(from, 8, &count));
        if (out->kind == WEFT_GGUF_ARRAY)
            FAIL(from->error, WEFT_INVALID, "%s: key \"%.80s\": arrays of arrays are not known", from->file->path,
                 out->key);
    }
    return skip_items(from, out, count);
}

/* Files number more types than weft reads: the quantised ones that are met most. */
static const char *name_of_type(uint64_t number)
{
    static const char *const names[] = {
        [6] = "Q5_0",   [7] = "Q5_1",    [9] = "Q8_1",   [10] = "Q2_K",    [11] = "Q3_K",   [12] = "Q4_K",
        [13] = "Q5_K",  [14] = "Q6_K",   [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS",
        [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S",   [23] = "IQ4_XS", [24] = "I8",
        [25] = "I16",   [26] = "I32",    [27] = "I64",   [28] = "F64",     [29] = "IQ1_M",  [34] = "TQ1_0",
        [35] = "TQ2_0", [39] = "MXFP4"};
    const char *name = number < sizeof names / sizeof *names ? names[number] : NULL;
    return name ? name : "unknown";
}

static weft_status take_type(weft_gguf_cursor *from, weft_gguf_tensor *out)
{
    uint64_t number = 0;
    TRY(weft_gguf_take_number(from, 4, &number));
    for (int type = 0; type < WEFT_GGUF_TYPES; type++) {
        if (weft_gguf_type_number((weft_gguf_type)type) != number) continue;
        out->type = (weft_gguf_type)type;
        return WEFT_OK;
    }
    FAIL(from->error, WEFT_INVALID, "%s: tensor \"%s\" is of type %s (%" PRIu64 "): weft reads " WEFT_GGUF_TYPE_NAMES,
         from->file->path, out->name, name_of_type(number), number);
}

/* Of the file's shape, in which the elements that follow one another come first. */
static weft_status take_shape(weft_gguf_cursor *from, weft_gguf_tensor *out)
{
    uint64_t dimensions = 0, size = 0, elements = 1;
    TRY(weft_gguf_take_number(from, 4, &dimensions));
    if (dimensions < 1 || dimensions > WEFT_GGUF_DIMENSIONS)
        FAIL(from->error, WEFT_INVALID, "%s: tensor \"%s\" has %" PRIu64 " dimensions, 1 to %d are allowed",
             from->file->path, out->name, dimensions, WEFT_GGUF_DIMENSIONS);
    out->dimensions = (int32_t)dimensions;
    for (int i = out->dimensions - 1; i >= 0; i--) {
        TRY(weft_gguf_take_number(from, 8, &size));
        if (size < 1 || size > INT64_MAX || __builtin_mul_overflow(elements, size, &elements) ||
            elements > INT64_MAX / 4)
            FAIL(from->error, WEFT_INVALID, "%s: tensor \"%s\": no file has so many elements", from->file->path,
                 out->name);
        out->shape[i] = (int64_t)size;
    }
    out->bytes = (size_t)elements; /* until the type is known */
    return WEFT_OK;
}

weft_status weft_gguf_take_tensor(weft_gguf_cursor *from, weft_gguf_tensor *out)
{
    TRY(take_name(from, LONGEST_NAME, &out->name));
    TRY(take_shape(from, out));
    TRY(take_type(from, out));
    int64_t columns = out->shape[out->dimensions - 1];
    if (columns % weft_gguf_type_block(out->type) != 0)
        FAIL(from->error, WEFT_INVALID, "%s: tensor \"%s\": rows of %" PRId64 " elements are no whole blocks of %s",
             from->file->path, out->name, columns, weft_gguf_type_name(out->type));
    out->bytes = weft_gguf_type_bytes(out->type, out->bytes);
    return weft_gguf_take_number(from, 8, &out->place);
}

weft_status weft_gguf_place(const weft_gguf *file, size_t start, weft_gguf_tensor *tensor, weft_error *error)
{
    uint64_t place = tensor->place, room = file->map.size - start;
    if (place % file->alignment != 0)
        FAIL(error, WEFT_INVALID,
             "%s: tensor \"%s\" begins at byte %" PRIu64 " of the data, which is not aligned to %zu", file->path,
             tensor->name, place, file->alignment);
    if (place > room || tensor->bytes > room - place)
        FAIL(error, WEFT_INVALID,
             "%s: truncated at byte %zu: tensor \"%s\" has %zu bytes from byte %" PRIu64
             " of the data on, which begins at "
             "byte %zu",
             file->path, file->map.size, tensor->name, tensor->bytes, place, start);
    tensor->data = file->map.bytes + start + place;
    return WEFT_OK;
}
