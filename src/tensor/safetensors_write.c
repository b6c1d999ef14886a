#include "tensor/safetensors.h"

#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* the same sums, with the widest instructions that there are */
#endif

/* PIECE: what is hashed is still in cache when it is written. Pieces end at multiples of it in the file, so that the
 * system keeps each as one large page, which costs less to fill, write and read. FLUSH: bytes that the disk is given at
 * once. */
enum { LENGTH_BYTES = 8, ALIGNMENT = 64, LARGEST_HEADER = 100000000, PIECE = 256 * 1024, FLUSH = 8 << 20 };

typedef struct sink {
    int descriptor;
    const char *path;
    const weft_tensor_source *source; /* NULL: data is memory of the host */
    XXH3_state_t *hash;
    uint64_t bytes, flushed; /* written; of these on their way to the disk */
} sink;

static weft_status check_name(const char *name, weft_error *error)
{
    if (!name) FAIL(error, WEFT_INVALID, "a tensor to be written has no name");
    for (const char *c = name; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            FAIL(error, WEFT_INVALID, "a tensor's name to be written may hold printable ASCII only");
    if (strcmp(name, "__metadata__") == 0) FAIL(error, WEFT_INVALID, "a tensor cannot be named __metadata__");
    return WEFT_OK;
}

static weft_status check_entry(const weft_tensor_entry *entry, weft_error *error)
{
    TRY(check_name(entry->name, error));
    if (entry->dimensions < 0 || entry->dimensions > WEFT_TENSOR_DIMENSIONS)
        FAIL(error, WEFT_INVALID, "tensor \"%s\": %" PRId32 " dimensions, at most %d are allowed", entry->name,
             entry->dimensions, WEFT_TENSOR_DIMENSIONS);
    uint64_t bytes = weft_element_bytes(entry->element);
    bool fits = true;
    for (int32_t i = 0; i < entry->dimensions && fits; i++)
        fits = entry->shape[i] >= 0 && !__builtin_mul_overflow(bytes, (uint64_t)entry->shape[i], &bytes);
    if (!fits || bytes != entry->bytes || (bytes && !entry->data))
        FAIL(error, WEFT_INVALID, "tensor \"%s\": its shape and its %zu bytes of data do not agree", entry->name,
             entry->bytes);
    return WEFT_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static weft_status check_entries(const weft_tensor_entry *entries, size_t count, weft_error *error)
{
    for (size_t i = 0; i < count; i++) TRY(check_entry(&entries[i], error));
    const char **names = NULL;
    TRY(weft_allocate(count, sizeof *names, &names, error));
    for (size_t i = 0; i < count; i++) names[i] = entries[i].name;
    if (count) qsort(names, count, sizeof *names, by_text);
    weft_status status = WEFT_OK;
    for (size_t i = 1; i < count && status == WEFT_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            status = weft_fail(error, WEFT_INVALID, "tensor \"%s\" is given twice", names[i]);
    weft_free(names);
    return status;
}

static void add_outline(weft_json *json, const weft_tensor_outline *tensor, uint64_t offset)
{
    weft_json_object(json, tensor->name, WEFT_JSON_ROW);
    weft_json_text(json, "dtype", tensor->type);
    weft_json_list(json, "shape", WEFT_JSON_ROW);
    for (int32_t k = 0; k < tensor->dimensions; k++) weft_json_int(json, NULL, tensor->shape[k]);
    weft_json_list_end(json);
    weft_json_list(json, "data_offsets", WEFT_JSON_ROW);
    weft_json_int(json, NULL, (int64_t)offset);
    weft_json_int(json, NULL, (int64_t)(offset + tensor->bytes));
    weft_json_list_end(json);
    weft_json_object_end(json);
}

static weft_json begin_header(weft_text *header)
{
    weft_text_add_bytes(header, "\0\0\0\0\0\0\0\0", LENGTH_BYTES);
    weft_json json = weft_json_begin(header, WEFT_JSON_TIGHT);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    return json;
}

/* Pads it with blanks so that the data starts aligned, and writes its length. */
static weft_status end_header(weft_json *json, size_t count, weft_error *error)
{
    weft_text *header = json->out;
    weft_json_object_end(json);
    size_t padding = (ALIGNMENT - header->length % ALIGNMENT) % ALIGNMENT;
    weft_text_add(header, "%*s", (int)padding, "");
    TRY(weft_text_check(header, error));
    uint64_t length = header->length - LENGTH_BYTES;
    if (length > LARGEST_HEADER) FAIL(error, WEFT_INVALID, "%zu tensors are too many for one safetensors file", count);
    for (int i = 0; i < LENGTH_BYTES; i++) header->bytes[i] = (char)(length >> 8 * i);
    return WEFT_OK;
}

weft_status weft_safetensors_outline(const weft_tensor_outline *tensors, size_t count, weft_text *out,
                                     weft_error *error)
{
    uint64_t offset = 0;
    weft_json json = begin_header(out);
    for (size_t i = 0; i < count; i++) {
        add_outline(&json, &tensors[i], offset);
        offset += tensors[i].bytes;
    }
    return end_header(&json, count, error);
}

static weft_status make_header(const char *format, const weft_tensor_entry *entries, size_t count, weft_text *header,
                               weft_error *error)
{
    static const char *const types[] = {[WEFT_FP32] = "F32", [WEFT_BF16] = "BF16", [WEFT_FP16] = "F16"};
    uint64_t offset = 0;
    weft_json json = begin_header(header);
    if (format) {
        weft_json_object(&json, "__metadata__", WEFT_JSON_ROW);
        weft_json_text(&json, "format", format);
        weft_json_object_end(&json);
    }
    for (size_t i = 0; i < count; i++) {
        weft_tensor_outline tensor = {.name = entries[i].name,
                                      .type = types[entries[i].element],
                                      .dimensions = entries[i].dimensions,
                                      .bytes = entries[i].bytes};
        memcpy(tensor.shape, entries[i].shape, sizeof tensor.shape);
        add_outline(&json, &tensor, offset);
        offset += tensor.bytes;
    }
    return end_header(&json, count, error);
}

/* The disk works while more is hashed and written, not only at the sync. */
static void flush(sink *to)
{
    if (to->bytes - to->flushed < FLUSH) return;
    weft_file_flush(to->descriptor, to->flushed, to->bytes - to->flushed);
    to->flushed = to->bytes;
}

static weft_status put(sink *to, const void *bytes, size_t count, weft_error *error)
{
    const char *from = bytes;
    while (count > 0) {
        size_t room = PIECE - to->bytes % PIECE, piece = count < room ? count : room;
        XXH3_64bits_update(to->hash, from, piece);
        TRY(weft_file_write_all(to->descriptor, from, piece, to->path, error));
        to->bytes += piece;
        from += piece;
        count -= piece;
        flush(to);
    }
    return WEFT_OK;
}

static weft_status put_entry(sink *to, const weft_tensor_entry *entry, weft_error *error)
{
    const char *from = entry->data;
    size_t left = entry->bytes;
    if (!to->source) return put(to, from, left, error);
    while (left > 0) {
        const void *bytes = NULL;
        size_t count = 0;
        TRY(to->source->read(to->source->context, from, left, &bytes, &count, error));
        TRY(put(to, bytes, count, error));
        from += count;
        left -= count;
    }
    return WEFT_OK;
}

static weft_status put_all(sink *to, const weft_text *header, const weft_tensor_entry *entries, size_t count,
                           weft_error *error)
{
    TRY(put(to, header->bytes, header->length, error));
    for (size_t i = 0; i < count; i++) TRY(put_entry(to, &entries[i], error));
    if (fsync(to->descriptor) != 0) return weft_file_fail(error, to->path, "sync", errno);
    return WEFT_OK;
}

static weft_status write_file(sink *to, const weft_text *header, const weft_tensor_entry *entries, size_t count,
                              weft_error *error)
{
    TRY(weft_file_create(to->path, &to->descriptor, error));
    weft_status status = put_all(to, header, entries, count, error);
    if (close(to->descriptor) != 0 && status == WEFT_OK) status = weft_file_fail(error, to->path, "close", errno);
    if (status != WEFT_OK) unlink(to->path); /* half a file is of no use to anyone */
    return status;
}

static weft_status make_hash(XXH3_state_t **out, weft_error *error)
{
    *out = XXH3_createState();
    if (!*out) FAIL(error, WEFT_NO_MEMORY, "out of memory for a checksum");
    XXH3_64bits_reset(*out);
    return WEFT_OK;
}

weft_status weft_safetensors_write(const char *path, const weft_tensor_entry *entries, size_t count,
                                   uint64_t *out_checksum, uint64_t *out_bytes, weft_error *error)
{
    return weft_safetensors_write_from(NULL, path, NULL, entries, count, out_checksum, out_bytes, error);
}

weft_status weft_safetensors_write_from(const weft_tensor_source *source, const char *path, const char *format,
                                        const weft_tensor_entry *entries, size_t count, uint64_t *out_checksum,
                                        uint64_t *out_bytes, weft_error *error)
{
    TRY(check_entries(entries, count, error));
    sink to = {.path = path, .source = source};
    weft_text header;
    weft_text_init(&header);
    weft_status status = make_header(format, entries, count, &header, error);
    if (status == WEFT_OK) status = make_hash(&to.hash, error);
    if (status == WEFT_OK) status = write_file(&to, &header, entries, count, error);
    if (status == WEFT_OK && out_checksum) *out_checksum = XXH3_64bits_digest(to.hash);
    if (status == WEFT_OK && out_bytes) *out_bytes = to.bytes;
    XXH3_freeState(to.hash);
    weft_text_fini(&header);
    return status;
}

static weft_status hash_pieces(int descriptor, const char *path, XXH3_state_t *hash, char *piece, uint64_t *out_bytes,
                               weft_error *error)
{
    for (;;) {
        ssize_t got = read(descriptor, piece, PIECE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            FAIL(error, WEFT_FAILED, "%s: cannot read at byte %" PRIu64 ": %s", path, *out_bytes, strerror(errno));
        if (got == 0) return WEFT_OK;
        XXH3_64bits_update(hash, piece, (size_t)got);
        *out_bytes += (uint64_t)got;
    }
}

weft_status weft_file_checksum(const char *path, uint64_t *out, uint64_t *out_bytes, weft_error *error)
{
    int descriptor;
    uint64_t bytes = 0;
    char *piece = NULL;
    XXH3_state_t *hash = NULL;
    TRY(weft_file_open(path, &descriptor, error));
    weft_status status = make_hash(&hash, error);
    if (status == WEFT_OK) status = weft_allocate(PIECE, 1, &piece, error);
    if (status == WEFT_OK) status = hash_pieces(descriptor, path, hash, piece, &bytes, error);
    if (status == WEFT_OK) *out = XXH3_64bits_digest(hash);
    if (status == WEFT_OK && out_bytes) *out_bytes = bytes;
    weft_free(piece);
    XXH3_freeState(hash);
    close(descriptor);
    return status;
}
