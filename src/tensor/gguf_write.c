#include "tensor/gguf_write.h"

#include <string.h>

enum { ALIGNMENT = 32, VERSION = 3 };

void weft_gguf_list_init(weft_gguf_list *list)
{
    *list = (weft_gguf_list){0};
}

void weft_gguf_list_fini(weft_gguf_list *list)
{
    weft_text_fini(&list->values);
    weft_text_fini(&list->tensors);
}

static void add_whole(weft_text *out, uint64_t value, size_t bytes)
{
    unsigned char number[8];
    for (size_t i = 0; i < bytes; i++) number[i] = (unsigned char)(value >> 8 * i);
    weft_text_add_bytes(out, number, bytes);
}

static void add_text(weft_text *out, const void *bytes, size_t length)
{
    add_whole(out, length, 8);
    weft_text_add_bytes(out, bytes, length);
}

static void add_key(weft_gguf_list *list, const char *key, weft_gguf_kind kind)
{
    add_text(&list->values, key, strlen(key));
    add_whole(&list->values, kind, 4);
    list->value_count++;
}

void weft_gguf_put_whole(weft_gguf_list *list, const char *key, uint32_t value)
{
    add_key(list, key, WEFT_GGUF_UINT32);
    add_whole(&list->values, value, 4);
}

void weft_gguf_put_number(weft_gguf_list *list, const char *key, double value)
{
    add_key(list, key, WEFT_GGUF_FLOAT32);
    weft_gguf_add_number(list, (float)value);
}

void weft_gguf_put_truth(weft_gguf_list *list, const char *key, bool value)
{
    add_key(list, key, WEFT_GGUF_BOOL);
    add_whole(&list->values, value, 1);
}

void weft_gguf_put_string(weft_gguf_list *list, const char *key, const char *value)
{
    add_key(list, key, WEFT_GGUF_STRING);
    weft_gguf_add_string(list, value, strlen(value));
}

void weft_gguf_put_array(weft_gguf_list *list, const char *key, weft_gguf_kind kind, size_t count)
{
    add_key(list, key, WEFT_GGUF_ARRAY);
    add_whole(&list->values, kind, 4);
    add_whole(&list->values, count, 8);
}

void weft_gguf_add_string(weft_gguf_list *list, const void *bytes, size_t length)
{
    add_text(&list->values, bytes, length);
}

void weft_gguf_add_whole(weft_gguf_list *list, int32_t value)
{
    add_whole(&list->values, (uint32_t)value, 4);
}

void weft_gguf_add_number(weft_gguf_list *list, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_whole(&list->values, bits, 4);
}

size_t weft_gguf_put_tensor(weft_gguf_list *list, const char *name, weft_gguf_type type, int32_t dimensions,
                            const int64_t *shape)
{
    size_t elements = 1;
    add_text(&list->tensors, name, strlen(name));
    add_whole(&list->tensors, (uint64_t)dimensions, 4);
    for (int32_t i = dimensions - 1; i >= 0; i--) {
        add_whole(&list->tensors, (uint64_t)shape[i], 8);
        elements *= (size_t)shape[i];
    }
    add_whole(&list->tensors, weft_gguf_type_number(type), 4);
    add_whole(&list->tensors, list->bytes, 8);
    list->tensor_count++;
    size_t bytes = weft_gguf_type_bytes(type, elements);
    list->bytes += weft_align(bytes, ALIGNMENT);
    return bytes;
}

typedef struct writing {
    const weft_gguf_list *list;
    const size_t *sizes;
    const weft_gguf_source *source;
    int descriptor;
    const char *path;
} writing;

/* Zeros up to the next aligned byte. */
static weft_status pad(const writing *it, size_t bytes, weft_error *error)
{
    static const char zeros[ALIGNMENT];
    return weft_file_write_all(it->descriptor, zeros, weft_align(bytes, ALIGNMENT) - bytes, it->path, error);
}

static weft_status write_data(const writing *it, size_t tensor, weft_error *error)
{
    for (size_t at = 0; at < it->sizes[tensor];) {
        const void *bytes = NULL;
        size_t count = 0;
        TRY(it->source->read(it->source->context, tensor, at, it->sizes[tensor] - at, &bytes, &count, error));
        TRY(weft_file_write_all(it->descriptor, bytes, count, it->path, error));
        at += count;
    }
    return pad(it, it->sizes[tensor], error);
}

static weft_status write_all(const writing *it, const weft_text *head, weft_error *error)
{
    const weft_text *parts[] = {head, &it->list->values, &it->list->tensors};
    size_t bytes = 0;
    for (int i = 0; i < 3; i++) {
        TRY(weft_text_check(parts[i], error));
        TRY(weft_file_write_all(it->descriptor, parts[i]->bytes, parts[i]->length, it->path, error));
        bytes += parts[i]->length;
    }
    TRY(pad(it, bytes, error));
    for (size_t i = 0; i < it->list->tensor_count; i++) TRY(write_data(it, i, error));
    return WEFT_OK;
}

static weft_status fill(void *context, int descriptor, const char *path, weft_error *error)
{
    writing *it = context;
    it->descriptor = descriptor;
    it->path = path;
    weft_text head;
    weft_text_init(&head);
    weft_text_add(&head, "GGUF");
    add_whole(&head, VERSION, 4);
    add_whole(&head, it->list->tensor_count, 8);
    add_whole(&head, it->list->value_count, 8);
    weft_status status = write_all(it, &head, error);
    weft_text_fini(&head);
    return status;
}

weft_status weft_gguf_write(const weft_gguf_list *list, const size_t *sizes, const weft_gguf_source *source,
                            const char *path, weft_error *error)
{
    writing it = {.list = list, .sizes = sizes, .source = source};
    return weft_file_write_by(path, fill, &it, error);
}
