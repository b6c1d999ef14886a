#include "tensor/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The format is that of github.com/huggingface/safetensors; as there, the data has no holes, and 100 MB bound the
 * header. */
enum { LENGTH_BYTES = 8, LARGEST_HEADER = 100000000 };

struct weft_safetensors {
    const char *path;
    weft_map map;
    uint64_t data_start;        /* in the file */
    weft_tensor_entry *entries; /* in the order of their data */
    const weft_tensor_entry **by_name;
    size_t count;
    weft_arena arena;
};

static const struct {
    const char *name;
    weft_element element;
} dtypes[] = {{"F32", WEFT_FP32}, {"BF16", WEFT_BF16}};

static weft_status parse_dtype(const char *path, const char *name, const json_t *dtype, weft_tensor_entry *entry,
                               weft_error *error)
{
    const char *word = json_string_value(dtype);
    if (!word)
        FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" (header from byte 8): dtype is missing or not a string", path,
             name);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(word, dtypes[i].name) != 0) continue;
        entry->element = dtypes[i].element;
        return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID,
         "%s: tensor \"%s\" (header from byte 8): dtype \"%.16s\" is not supported, only F32 and BF16", path, name,
         word);
}

/* Also works out the size in bytes. */
static weft_status parse_shape(const char *path, const char *name, const json_t *shape, weft_tensor_entry *entry,
                               weft_error *error)
{
    size_t dimensions = json_array_size(shape);
    if (!json_is_array(shape) || dimensions > WEFT_TENSOR_DIMENSIONS)
        FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" (header from byte 8): shape must be a list of at most %d sizes",
             path, name, WEFT_TENSOR_DIMENSIONS);
    entry->dimensions = (int32_t)dimensions;
    uint64_t bytes = weft_element_bytes(entry->element);
    for (size_t i = 0; i < dimensions; i++) {
        const json_t *size = json_array_get(shape, i);
        entry->shape[i] = json_is_integer(size) ? (int64_t)json_integer_value(size) : -1;
        if (entry->shape[i] < 0)
            FAIL(error, WEFT_INVALID,
                 "%s: tensor \"%s\" (header from byte 8): size %zu of its shape is not a whole number >= 0", path, name,
                 i);
        if (__builtin_mul_overflow(bytes, (uint64_t)entry->shape[i], &bytes) || bytes > PTRDIFF_MAX)
            FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" (header from byte 8): shape is too large for any file", path,
                 name);
    }
    entry->bytes = (size_t)bytes;
    return WEFT_OK;
}

static weft_status parse_range(const weft_safetensors *file, const char *name, const json_t *range,
                               weft_tensor_entry *entry, weft_error *error)
{
    const json_t *from = json_array_get(range, 0), *to = json_array_get(range, 1);
    bool numbers = json_array_size(range) == 2 && json_is_integer(from) && json_is_integer(to);
    int64_t begin = numbers ? (int64_t)json_integer_value(from) : -1,
            end = numbers ? (int64_t)json_integer_value(to) : -1;
    if (begin < 0 || end < begin)
        FAIL(error, WEFT_INVALID,
             "%s: tensor \"%s\" (header from byte 8): data_offsets must be two ascending whole numbers", file->path,
             name);
    uint64_t room = file->map.size - file->data_start;
    if ((uint64_t)end > room)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu: tensor \"%s\" ends at byte %" PRIu64 " by the header",
             file->path, file->map.size, name, file->data_start + (uint64_t)end);
    if ((uint64_t)(end - begin) != entry->bytes)
        FAIL(error, WEFT_INVALID,
             "%s: tensor \"%s\" at byte %" PRIu64 ": %" PRId64 " bytes, but its shape and dtype need %zu", file->path,
             name, file->data_start + (uint64_t)begin, end - begin, entry->bytes);
    entry->data = file->map.bytes + file->data_start + begin;
    return WEFT_OK;
}

static weft_status check_name(const weft_safetensors *file, const char *name, size_t index, weft_error *error)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            FAIL(error, WEFT_INVALID, "%s: header from byte 8: the name of tensor %zu holds a control character",
                 file->path, index);
    return WEFT_OK;
}

static weft_status parse_entry(weft_safetensors *file, const char *name, const json_t *value, weft_error *error)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    enum { KEYS = sizeof keys / sizeof *keys };
    const json_t *field[KEYS];
    TRY(check_name(file, name, file->count, error));
    for (size_t i = 0; i < KEYS; i++) {
        field[i] = json_object_get(value, keys[i]);
        if (!field[i])
            FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" (header from byte 8): %s is missing", file->path, name,
                 keys[i]);
    }
    if (json_object_size(value) != KEYS)
        FAIL(error, WEFT_INVALID,
             "%s: tensor \"%s\" (header from byte 8): more keys than dtype, shape and data_offsets", file->path, name);
    weft_tensor_entry *entry = &file->entries[file->count];
    TRY(parse_dtype(file->path, name, field[0], entry, error));
    TRY(parse_shape(file->path, name, field[1], entry, error));
    TRY(parse_range(file, name, field[2], entry, error));
    TRY(weft_arena_text(&file->arena, name, &entry->name, error));
    file->count++;
    return WEFT_OK;
}

static weft_status check_metadata(const weft_safetensors *file, json_t *metadata, weft_error *error)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(metadata))
        FAIL(error, WEFT_INVALID, "%s: header from byte 8: __metadata__ is not a map", file->path);
    json_object_foreach(metadata, key, value) if (!json_is_string(value))
        FAIL(error, WEFT_INVALID, "%s: header from byte 8: a value of __metadata__ is not a string", file->path);
    return WEFT_OK;
}

static weft_status parse_entries(weft_safetensors *file, json_t *root, weft_error *error)
{
    if (!json_is_object(root)) FAIL(error, WEFT_INVALID, "%s: the header at byte 8 is not a JSON map", file->path);
    TRY(weft_arena_take(&file->arena, json_object_size(root), sizeof *file->entries, &file->entries, error));
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            TRY(check_metadata(file, value, error));
        else
            TRY(parse_entry(file, name, value, error));
    }
    return WEFT_OK;
}

static weft_status parse_header(weft_safetensors *file, weft_error *error)
{
    size_t size = file->map.size;
    if (size < LENGTH_BYTES)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu: a safetensors file starts with a length of 8 bytes",
             file->path, size);
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++) length |= (uint64_t)file->map.bytes[i] << 8 * i;
    if (length > LARGEST_HEADER)
        FAIL(error, WEFT_INVALID,
             "%s: not a safetensors file: byte 0 states a header of %" PRIu64 " bytes, at most %d are allowed",
             file->path, length, LARGEST_HEADER);
    if (length > size - LENGTH_BYTES)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu: byte 0 states a header that ends at byte %" PRIu64,
             file->path, size, LENGTH_BYTES + length);
    file->data_start = LENGTH_BYTES + length;
    json_error_t problem;
    const char *header = (const char *)file->map.bytes + LENGTH_BYTES;
    json_t *root = json_loadb(header, (size_t)length, JSON_REJECT_DUPLICATES, &problem);
    if (!root)
        FAIL(error, WEFT_INVALID, "%s: bad header at byte %d: %s", file->path, LENGTH_BYTES + problem.position,
             problem.text);
    weft_status status = parse_entries(file, root, error);
    json_decref(root);
    return status;
}

/* Tensors without bytes come before what begins at the same place. */
static int by_place(const void *a, const void *b)
{
    const weft_tensor_entry *left = a, *right = b;
    uintptr_t from = (uintptr_t)left->data, other = (uintptr_t)right->data;
    if (from != other) return from < other ? -1 : 1;
    if (left->bytes != right->bytes) return left->bytes < right->bytes ? -1 : 1;
    return strcmp(left->name, right->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const weft_tensor_entry *const *)a)->name, (*(const weft_tensor_entry *const *)b)->name);
}

static weft_status check_places(const weft_safetensors *file, weft_error *error)
{
    uint64_t end = file->data_start;
    for (size_t i = 0; i < file->count; i++) {
        const weft_tensor_entry *entry = &file->entries[i];
        uint64_t begin = (uint64_t)((const unsigned char *)entry->data - file->map.bytes);
        if (begin < end)
            FAIL(error, WEFT_INVALID, "%s: tensors \"%s\" and \"%s\" overlap at byte %" PRIu64, file->path,
                 entry[-1].name, entry->name, begin);
        if (begin > end)
            FAIL(error, WEFT_INVALID, "%s: bytes %" PRIu64 " to %" PRIu64 ", before tensor \"%s\", belong to no tensor",
                 file->path, end, begin, entry->name);
        end = begin + entry->bytes;
    }
    if (end != file->map.size)
        FAIL(error, WEFT_INVALID, "%s: bytes %" PRIu64 " to %zu, at the end, belong to no tensor", file->path, end,
             file->map.size);
    return WEFT_OK;
}

static weft_status open_file(weft_safetensors *file, const char *path, weft_error *error)
{
    TRY(weft_arena_text(&file->arena, path, &file->path, error));
    TRY(weft_map_init(&file->map, path, error));
    TRY(parse_header(file, error));
    if (file->count) qsort(file->entries, file->count, sizeof *file->entries, by_place);
    TRY(check_places(file, error));
    TRY(weft_arena_take(&file->arena, file->count, sizeof *file->by_name, &file->by_name, error));
    for (size_t i = 0; i < file->count; i++) file->by_name[i] = &file->entries[i];
    if (file->count) qsort(file->by_name, file->count, sizeof *file->by_name, by_name);
    return WEFT_OK;
}

weft_status weft_safetensors_open(const char *path, weft_safetensors **out, weft_error *error)
{
    *out = NULL;
    weft_safetensors *file = NULL;
    TRY(weft_allocate(1, sizeof *file, &file, error));
    weft_arena_init(&file->arena);
    weft_status status = open_file(file, path, error);
    if (status == WEFT_OK)
        *out = file;
    else
        weft_safetensors_close(file);
    return status;
}

void weft_safetensors_close(weft_safetensors *file)
{
    if (!file) return;
    weft_map_fini(&file->map);
    weft_arena_fini(&file->arena);
    weft_free(file);
}

size_t weft_safetensors_count(const weft_safetensors *file)
{
    return file->count;
}

const weft_tensor_entry *weft_safetensors_get(const weft_safetensors *file, size_t index)
{
    return &file->entries[index];
}

const weft_tensor_entry *weft_safetensors_find(const weft_safetensors *file, const char *name)
{
    weft_tensor_entry wanted = {.name = name};
    const weft_tensor_entry *key = &wanted;
    if (file->count == 0) return NULL;
    const weft_tensor_entry **found = bsearch(&key, file->by_name, file->count, sizeof *file->by_name, by_name);
    return found ? *found : NULL;
}
