#include "tensor/gguf_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The least bytes of a key with its value, and of a tensor: what bounds how many there can be. */
enum { MAGIC_BYTES = 4, LEAST_VALUE = 8 + 4 + 1, LEAST_TENSOR = 8 + 4 + 8 + 4 + 8, ALIGNMENT = 32 };

static weft_status check_version(weft_gguf_cursor *from, uint32_t version)
{
    const char *path = from->file->path;
    if (version == 2 || version == 3) return WEFT_OK;
    if ((version & 0xffff) == 0)
        FAIL(from->error, WEFT_INVALID, "%s: is big-endian: weft reads little-endian files", path);
    FAIL(from->error, WEFT_INVALID, "%s: is GGUF of version %" PRIu32 ": weft reads versions 2 and 3", path, version);
}

/* How many tensors and values follow. */
static weft_status read_head(weft_gguf_cursor *from, uint64_t *tensors, uint64_t *values)
{
    const unsigned char *magic = NULL;
    uint64_t version = 0, *const counts[] = {tensors, values};
    static const char *const names[] = {"tensors", "keys"};
    static const size_t least[] = {LEAST_TENSOR, LEAST_VALUE};
    TRY(weft_gguf_take(from, MAGIC_BYTES, &magic));
    if (memcmp(magic, "GGUF", MAGIC_BYTES) != 0)
        FAIL(from->error, WEFT_INVALID, "%s: is no GGUF file: it does not begin with these letters", from->file->path);
    TRY(weft_gguf_take_number(from, 4, &version));
    TRY(check_version(from, (uint32_t)version));
    for (int i = 0; i < 2; i++) {
        TRY(weft_gguf_take_number(from, 8, counts[i]));
        size_t left = from->file->map.size - from->at;
        if (*counts[i] > left / least[i])
            FAIL(from->error, WEFT_INVALID,
                 "%s: truncated: byte %zu states %" PRIu64 " %s, for which %zu bytes are left", from->file->path,
                 from->at - 8, *counts[i], names[i], left);
    }
    return WEFT_OK;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const weft_gguf_value *)a)->key, ((const weft_gguf_value *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const weft_gguf_tensor *)a)->name, ((const weft_gguf_tensor *)b)->name);
}

static weft_status read_values(weft_gguf_cursor *from, uint64_t count)
{
    weft_gguf *file = from->file;
    TRY(weft_arena_take(&file->arena, (size_t)count, sizeof *file->values, &file->values, from->error));
    while (file->value_count < count) TRY(weft_gguf_take_value(from, &file->values[file->value_count++]));
    if (count) qsort(file->values, (size_t)count, sizeof *file->values, by_key);
    for (size_t i = 1; i < count; i++)
        if (by_key(&file->values[i - 1], &file->values[i]) == 0)
            FAIL(from->error, WEFT_INVALID, "%s: has the key \"%s\" twice", file->path, file->values[i].key);
    return WEFT_OK;
}

/* A file may say how its data is aligned. */
static weft_status read_alignment(weft_gguf *file, weft_error *error)
{
    const weft_gguf_value *value = weft_gguf_value_find(file, "general.alignment");
    int64_t alignment = ALIGNMENT;
    if (value) TRY(weft_gguf_whole(file, value, &alignment, error));
    if (alignment < 1 || alignment > INT32_MAX || (alignment & (alignment - 1)) != 0)
        FAIL(error, WEFT_INVALID, "%s: general.alignment: must be a power of 2, not %" PRId64, file->path, alignment);
    file->alignment = (size_t)alignment;
    return WEFT_OK;
}

/* Files of several parts say so. */
static weft_status check_split(const weft_gguf *file, weft_error *error)
{
    const weft_gguf_value *value = weft_gguf_value_find(file, "split.count");
    int64_t count = 1;
    if (value) TRY(weft_gguf_whole(file, value, &count, error));
    if (count <= 1) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "%s: is one of %" PRId64 " parts: join them first (llama-gguf-split --merge does)",
         file->path, count);
}

static weft_status read_tensors(weft_gguf_cursor *from, uint64_t count)
{
    weft_gguf *file = from->file;
    TRY(weft_arena_take(&file->arena, (size_t)count, sizeof *file->tensors, &file->tensors, from->error));
    while (file->count < count) TRY(weft_gguf_take_tensor(from, &file->tensors[file->count++]));
    return WEFT_OK;
}

/* Tensors' places are counted from the first aligned byte behind their list. */
static weft_status place_tensors(weft_gguf_cursor *from)
{
    weft_gguf *file = from->file;
    size_t start = weft_align(from->at, file->alignment);
    if (file->count > 0 && start > file->map.size)
        FAIL(from->error, WEFT_INVALID, "%s: truncated at byte %zu: the tensors' data begins at byte %zu", file->path,
             file->map.size, start);
    for (size_t i = 0; i < file->count; i++) TRY(weft_gguf_place(file, start, &file->tensors[i], from->error));
    return WEFT_OK;
}

static int by_place(const void *a, const void *b)
{
    const weft_gguf_tensor *left = a, *right = b;
    uintptr_t from = (uintptr_t)left->data, other = (uintptr_t)right->data;
    return (from > other) - (from < other);
}

static weft_status sort_tensors(weft_gguf *file, weft_error *error)
{
    if (file->count) qsort(file->tensors, file->count, sizeof *file->tensors, by_place);
    for (size_t i = 1; i < file->count; i++)
        if (file->tensors[i - 1].data + file->tensors[i - 1].bytes > file->tensors[i].data)
            FAIL(error, WEFT_INVALID, "%s: tensors \"%s\" and \"%s\" overlap", file->path, file->tensors[i - 1].name,
                 file->tensors[i].name);
    if (file->count) qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
    for (size_t i = 1; i < file->count; i++)
        if (by_name(&file->tensors[i - 1], &file->tensors[i]) == 0)
            FAIL(error, WEFT_INVALID, "%s: has the tensor \"%s\" twice", file->path, file->tensors[i].name);
    return WEFT_OK;
}

static weft_status open_file(weft_gguf *file, const char *path, weft_error *error)
{
    uint64_t tensors = 0, values = 0;
    weft_gguf_cursor from = {.file = file, .error = error};
    TRY(weft_arena_text(&file->arena, path, &file->path, error));
    TRY(weft_map_init(&file->map, path, error));
    TRY(read_head(&from, &tensors, &values));
    TRY(read_values(&from, values));
    TRY(read_alignment(file, error));
    TRY(check_split(file, error));
    TRY(read_tensors(&from, tensors));
    TRY(place_tensors(&from));
    return sort_tensors(file, error);
}

weft_status weft_gguf_open(const char *path, weft_gguf **out, weft_error *error)
{
    *out = NULL;
    weft_gguf *file = NULL;
    TRY(weft_allocate(1, sizeof *file, &file, error));
    weft_arena_init(&file->arena);
    weft_status status = open_file(file, path, error);
    if (status == WEFT_OK)
        *out = file;
    else
        weft_gguf_close(file);
    return status;
}

void weft_gguf_close(weft_gguf *file)
{
    if (!file) return;
    weft_map_fini(&file->map);
    weft_arena_fini(&file->arena);
    weft_free(file);
}

const char *weft_gguf_path(const weft_gguf *file)
{
    return file->path;
}

size_t weft_gguf_count(const weft_gguf *file)
{
    return file->count;
}

const weft_gguf_tensor *weft_gguf_get(const weft_gguf *file, size_t index)
{
    return &file->tensors[index];
}

const weft_gguf_tensor *weft_gguf_find(const weft_gguf *file, const char *name)
{
    const weft_gguf_tensor wanted = {.name = name};
    return file->count ? bsearch(&wanted, file->tensors, file->count, sizeof wanted, by_name) : NULL;
}

void weft_gguf_release(const weft_gguf *file, const weft_gguf_tensor *tensor)
{
    weft_map_release(&file->map, tensor->data, tensor->bytes);
}

size_t weft_gguf_value_count(const weft_gguf *file)
{
    return file->value_count;
}

const weft_gguf_value *weft_gguf_value_get(const weft_gguf *file, size_t index)
{
    return &file->values[index];
}

const weft_gguf_value *weft_gguf_value_find(const weft_gguf *file, const char *key)
{
    const weft_gguf_value wanted = {.key = key};
    return file->value_count ? bsearch(&wanted, file->values, file->value_count, sizeof wanted, by_key) : NULL;
}
