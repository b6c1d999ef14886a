#include "tensor/safetensors_header.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The format is that of github.com/huggingface/safetensors; as there, the data has no holes, and 100 MB bound the
 * header. */
enum { LENGTH_BYTES = WEFT_SAFETENSORS_LENGTH, LARGEST_HEADER = 100000000 };

struct weft_safetensors {
    const char *path;
    weft_map map;
    uint64_t data_start;        /* in the file */
    weft_tensor_entry *entries; /* in the order of their data */
    const weft_tensor_entry **by_name;
    size_t count;
    weft_arena arena;
};

static weft_status read_entries(weft_safetensors *file, const weft_safetensors_header *header, weft_error *error)
{
    weft_safetensors_counts counts = {0};
    char *names = NULL;
    TRY(weft_safetensors_header_read(header, NULL, NULL, &counts, error));
    TRY(weft_arena_take(&file->arena, counts.tensors, sizeof *file->entries, &file->entries, error));
    TRY(weft_arena_take(&file->arena, counts.name_bytes, 1, &names, error));
    TRY(weft_safetensors_header_read(header, file->entries, names, &counts, error));
    file->count = counts.tensors;
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
    weft_safetensors_header header = {.path = file->path,
                                      .bytes = file->map.bytes + LENGTH_BYTES,
                                      .length = (size_t)length,
                                      .data = file->map.bytes + file->data_start,
                                      .data_bytes = size - (size_t)file->data_start};
    return read_entries(file, &header, error);
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

/* Files are written in the order of their data: most need no sorting. */
static void sort_entries(weft_safetensors *file)
{
    for (size_t i = 1; i < file->count; i++) {
        if (by_place(&file->entries[i - 1], &file->entries[i]) <= 0) continue;
        qsort(file->entries, file->count, sizeof *file->entries, by_place);
        return;
    }
}

static weft_status sort_names(weft_safetensors *file, weft_error *error)
{
    TRY(weft_arena_take(&file->arena, file->count, sizeof *file->by_name, &file->by_name, error));
    for (size_t i = 0; i < file->count; i++) file->by_name[i] = &file->entries[i];
    if (file->count) qsort(file->by_name, file->count, sizeof *file->by_name, by_name);
    for (size_t i = 1; i < file->count; i++)
        if (strcmp(file->by_name[i - 1]->name, file->by_name[i]->name) == 0)
            FAIL(error, WEFT_INVALID, "%s: header from byte 8: a duplicate name, \"%s\"", file->path,
                 file->by_name[i]->name);
    return WEFT_OK;
}

static weft_status open_file(weft_safetensors *file, const char *path, weft_error *error)
{
    TRY(weft_arena_text(&file->arena, path, &file->path, error));
    TRY(weft_map_init(&file->map, path, error));
    TRY(parse_header(file, error));
    sort_entries(file);
    TRY(sort_names(file, error));
    return check_places(file, error);
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

void weft_safetensors_release(const weft_safetensors *file, const void *data, size_t bytes)
{
    weft_map_release(&file->map, data, bytes);
}

weft_status weft_safetensors_copy(const weft_safetensors *file, const void *data, size_t bytes, void *out,
                                  weft_error *error)
{
    return weft_map_copy(&file->map, data, bytes, out, file->path, error);
}
