#include "tensor/safetensors_header.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_NAME = 200 }; /* bytes of a name in a message */

typedef struct reader {
    const weft_safetensors_header *header;
    size_t at;             /* of the header */
    size_t name, name_end; /* of the tensor that is read, as it is spelt */
    weft_error *error;
} reader;

/* A string as it is read: the bytes that there is room for, and how many there are. */
typedef struct text {
    char *bytes; /* (room) NULL: none */
    size_t room, length;
    bool control; /* it holds a control character */
} text;

static weft_status bad(const reader *from, size_t at, const char *what)
{
    FAIL(from->error, WEFT_INVALID, "%s: bad header at byte %zu: %s", from->header->path, WEFT_SAFETENSORS_LENGTH + at,
         what);
}

static weft_status wrong(const reader *from, const char *format, ...) WEFT_PRINTF(2, 3);

/* An error of the current tensor. */
static weft_status wrong(const reader *from, const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    size_t length = from->name_end - from->name;
    FAIL(from->error, WEFT_INVALID, "%s: tensor \"%.*s\" (header from byte %d): %s", from->header->path,
         (int)(length < SHOWN_NAME ? length : SHOWN_NAME), (const char *)from->header->bytes + from->name,
         WEFT_SAFETENSORS_LENGTH, what);
}

/* The next byte that is no blank, or 0 at the end. */
static unsigned char peek(reader *from)
{
    const weft_safetensors_header *header = from->header;
    while (from->at < header->length && header->bytes[from->at] && strchr(" \t\n\r", header->bytes[from->at]))
        from->at++;
    return from->at < header->length ? header->bytes[from->at] : 0;
}

static bool take(reader *from, char wanted)
{
    if (peek(from) != (unsigned char)wanted) return false;
    from->at++;
    return true;
}

static weft_status expect(reader *from, char wanted)
{
    char what[] = "'.' is expected here";
    what[1] = wanted;
    return take(from, wanted) ? WEFT_OK : bad(from, from->at, what);
}

static void add(text *to, unsigned char byte)
{
    if (to->length < to->room) to->bytes[to->length] = (char)byte;
    to->length++;
    to->control |= byte < 0x20 || byte == 0x7f;
}

static void add_code_point(text *to, uint32_t code)
{
    char bytes[4];
    int length = weft_utf8_encode(code, bytes);
    for (int i = 0; i < length; i++) add(to, (unsigned char)bytes[i]);
}

/* \uXXXX from the backslash on; false when it is none. */
static bool read_unit(reader *from, uint32_t *out)
{
    const unsigned char *bytes = from->header->bytes + from->at;
    *out = 0;
    if (from->header->length - from->at < 6 || bytes[0] != '\\' || bytes[1] != 'u') return false;
    for (int i = 2; i < 6; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = bytes[i] < '0' ? NULL : strchr(digits, bytes[i] | 0x20);
        if (!digit) return false;
        *out = *out << 4 | (uint32_t)(digit - digits);
    }
    from->at += 6;
    return true;
}

static weft_status read_escape(reader *from, text *to)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    size_t begin = from->at;
    unsigned char letter = begin + 1 < from->header->length ? from->header->bytes[begin + 1] : 0;
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (found) {
        from->at += 2;
        add(to, (unsigned char)meanings[found - letters]);
        return WEFT_OK;
    }
    uint32_t code = 0, low = 0;
    bool good = read_unit(from, &code) && code != 0;
    if (good && code >= 0xd800 && code < 0xe000) {
        good = code < 0xdc00 && read_unit(from, &low) && low >= 0xdc00 && low < 0xe000;
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
    }
    if (!good) return bad(from, begin, "no escape of a character");
    add_code_point(to, code);
    return WEFT_OK;
}

/* UTF-8 without control characters, but for those that are escaped. */
static weft_status read_string(reader *from, text *to)
{
    const weft_safetensors_header *header = from->header;
    TRY(expect(from, '"'));
    while (from->at < header->length && header->bytes[from->at] != '"') {
        const unsigned char *c = header->bytes + from->at;
        int length = *c < 0x20 ? 0 : weft_utf8_length(c, header->length - from->at);
        if (length == 0) return bad(from, from->at, "no character of a string");
        if (*c == '\\') {
            TRY(read_escape(from, to));
            continue;
        }
        for (int i = 0; i < length; i++) add(to, c[i]);
        from->at += (size_t)length;
    }
    return from->at++ < header->length ? WEFT_OK : bad(from, header->length, "a string has no end");
}

/* A whole number from 0 on; *out_good is false for any other value, of which nothing may be read behind. */
static void read_whole(reader *from, int64_t *out, bool *out_good)
{
    const weft_safetensors_header *header = from->header;
    *out = 0;
    *out_good = peek(from) >= '0' && peek(from) <= '9';
    size_t begin = from->at;
    while (from->at < header->length && header->bytes[from->at] >= '0' && header->bytes[from->at] <= '9' && *out_good)
        *out_good = !__builtin_mul_overflow(*out, (int64_t)10, out) &&
                    !__builtin_add_overflow(*out, (int64_t)(header->bytes[from->at++] - '0'), out);
    if (from->at > begin + 1 && header->bytes[begin] == '0') *out_good = false;
    if (from->at < header->length && strchr(".eE", header->bytes[from->at])) *out_good = false;
}

typedef struct tensor {
    weft_tensor_entry entry;
    int64_t from, to; /* data_offsets */
} tensor;

static weft_status read_dtype(reader *from, tensor *out)
{
    static const struct {
        const char *name;
        weft_element element;
    } dtypes[] = {{"F32", WEFT_FP32}, {"BF16", WEFT_BF16}, {"F16", WEFT_FP16}};
    char word[17] = "";
    text name = {.bytes = word, .room = sizeof word - 1};
    if (peek(from) != '"') return wrong(from, "dtype is not a string");
    TRY(read_string(from, &name));
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (name.length >= name.room || strcmp(word, dtypes[i].name) != 0) continue;
        out->entry.element = dtypes[i].element;
        return WEFT_OK;
    }
    return wrong(from, "dtype \"%s\" is not supported, only F32, BF16 and F16", word);
}

static weft_status read_shape(reader *from, tensor *out)
{
    weft_tensor_entry *entry = &out->entry;
    bool list = take(from, '['), more = list && !take(from, ']');
    while (more && entry->dimensions < WEFT_TENSOR_DIMENSIONS) {
        bool good = false;
        read_whole(from, &entry->shape[entry->dimensions], &good);
        if (!good) return wrong(from, "size %d of its shape is not a whole number >= 0", (int)entry->dimensions);
        entry->dimensions++;
        more = take(from, ',');
        if (!more) TRY(expect(from, ']'));
    }
    if (list && !more) return WEFT_OK;
    return wrong(from, "shape must be a list of at most %d sizes", WEFT_TENSOR_DIMENSIONS);
}

static weft_status read_offsets(reader *from, tensor *out)
{
    bool good = take(from, '[');
    if (good) read_whole(from, &out->from, &good);
    if (good) good = take(from, ',');
    if (good) read_whole(from, &out->to, &good);
    if (good && take(from, ']') && out->from <= out->to) return WEFT_OK;
    return wrong(from, "data_offsets must be two ascending whole numbers");
}

static const struct {
    const char *name;
    weft_status (*read)(reader *from, tensor *out);
} keys[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
enum { KEYS = sizeof keys / sizeof *keys, KEY_BYTES = 16 };

static weft_status read_key(reader *from, tensor *out, bool *seen)
{
    char word[KEY_BYTES + 1] = "";
    text name = {.bytes = word, .room = KEY_BYTES};
    size_t at = from->at;
    TRY(read_string(from, &name));
    TRY(expect(from, ':'));
    for (int i = 0; i < KEYS; i++) {
        if (name.length >= KEY_BYTES || strcmp(word, keys[i].name) != 0) continue;
        if (seen[i]) return bad(from, at, "a duplicate key");
        seen[i] = true;
        return keys[i].read(from, out);
    }
    return wrong(from, "more keys than dtype, shape and data_offsets");
}

/* Where the data is, once dtype, shape and data_offsets are known. */
static weft_status place(const reader *from, tensor *it)
{
    const weft_safetensors_header *header = from->header;
    size_t data_start = WEFT_SAFETENSORS_LENGTH + header->length;
    uint64_t bytes = weft_element_bytes(it->entry.element);
    for (int32_t i = 0; i < it->entry.dimensions; i++)
        if (__builtin_mul_overflow(bytes, (uint64_t)it->entry.shape[i], &bytes) || bytes > PTRDIFF_MAX)
            return wrong(from, "shape is too large for any file");
    if ((uint64_t)it->to > header->data_bytes)
        FAIL(from->error, WEFT_INVALID,
             "%s: truncated at byte %zu: tensor \"%.*s\" ends at byte %" PRIu64 " by the header", header->path,
             data_start + header->data_bytes,
             (int)(from->name_end - from->name < SHOWN_NAME ? from->name_end - from->name : SHOWN_NAME),
             (const char *)header->bytes + from->name, (uint64_t)data_start + (uint64_t)it->to);
    if ((uint64_t)(it->to - it->from) != bytes)
        return wrong(from, "%" PRId64 " bytes, but its shape and dtype need %" PRIu64, it->to - it->from, bytes);
    it->entry.bytes = (size_t)bytes;
    it->entry.data = header->data + it->from;
    return WEFT_OK;
}

static weft_status read_tensor(reader *from, weft_tensor_entry *out)
{
    tensor it = {.from = 0};
    bool seen[KEYS] = {false};
    if (!take(from, '{')) return wrong(from, "not a map of dtype, shape and data_offsets");
    if (!take(from, '}')) {
        do TRY(read_key(from, &it, seen));
        while (take(from, ','));
        TRY(expect(from, '}'));
    }
    for (int i = 0; i < KEYS; i++)
        if (!seen[i]) return wrong(from, "%s is missing", keys[i].name);
    TRY(place(from, &it));
    if (out) *out = it.entry;
    return WEFT_OK;
}

static weft_status read_metadata(reader *from)
{
    const char *path = from->header->path;
    if (!take(from, '{')) FAIL(from->error, WEFT_INVALID, "%s: header from byte 8: __metadata__ is not a map", path);
    if (take(from, '}')) return WEFT_OK;
    do {
        text ignored = {0};
        TRY(read_string(from, &ignored));
        TRY(expect(from, ':'));
        if (peek(from) != '"')
            FAIL(from->error, WEFT_INVALID, "%s: header from byte 8: a value of __metadata__ is not a string", path);
        TRY(read_string(from, &ignored));
    } while (take(from, ','));
    return expect(from, '}');
}

static const char metadata[] = "__metadata__";
enum { METADATA_BYTES = sizeof metadata - 1 };
_Static_assert(sizeof metadata <= KEY_BYTES, "read_member compares the beginning of a name");

/* What a header holds, and where it goes. */
typedef struct target {
    weft_tensor_entry *entries; /* (room.tensors) NULL: nowhere */
    char *names;                /* (room.name_bytes) */
    weft_safetensors_counts room, used;
} target;

/* The current tensor's name once more, to where it stays. */
static weft_status keep_name(const reader *from, target *to, size_t length, weft_tensor_entry *entry)
{
    reader again = *from;
    again.at = from->name - 1; /* its quotation mark */
    char *name = to->names + to->used.name_bytes;
    text whole = {.bytes = name, .room = length};
    TRY(read_string(&again, &whole));
    name[length] = '\0';
    entry->name = name;
    return WEFT_OK;
}

/* A tensor, or the metadata. */
static weft_status read_member(reader *from, target *to)
{
    char word[KEY_BYTES] = "";
    text name = {.bytes = word, .room = sizeof word};
    if (peek(from) != '"') return bad(from, from->at, "a name is expected here");
    from->name = from->at + 1; /* behind the quotation mark */
    TRY(read_string(from, &name));
    from->name_end = from->at - 1;
    TRY(expect(from, ':'));
    if (name.length == METADATA_BYTES && memcmp(word, metadata, METADATA_BYTES) == 0) return read_metadata(from);
    if (name.control)
        FAIL(from->error, WEFT_INVALID, "%s: header from byte 8: the name of tensor %zu holds a control character",
             from->header->path, to->used.tensors);
    weft_safetensors_counts end = {to->used.tensors + 1, to->used.name_bytes + name.length + 1};
    if (to->entries && (end.tensors > to->room.tensors || end.name_bytes > to->room.name_bytes))
        FAIL(from->error, WEFT_INVALID, "%s: the file changes while it is read", from->header->path);
    weft_tensor_entry *entry = to->entries ? &to->entries[to->used.tensors] : NULL;
    TRY(read_tensor(from, entry));
    if (entry) TRY(keep_name(from, to, name.length, entry));
    to->used = end;
    return WEFT_OK;
}

weft_status weft_safetensors_header_read(const weft_safetensors_header *header, weft_tensor_entry *entries, char *names,
                                         weft_safetensors_counts *counts, weft_error *error)
{
    reader from = {.header = header, .error = error};
    target to = {.entries = entries, .names = names, .room = *counts};
    if (peek(&from) == 0) return bad(&from, from.at, "a map is expected here");
    if (!take(&from, '{')) FAIL(error, WEFT_INVALID, "%s: the header at byte 8 is not a JSON map", header->path);
    if (!take(&from, '}')) {
        do TRY(read_member(&from, &to));
        while (take(&from, ','));
        TRY(expect(&from, '}'));
    }
    if (peek(&from) || from.at < header->length) return bad(&from, from.at, "nothing is expected behind the map");
    *counts = to.used;
    return WEFT_OK;
}
