/* A GGUF file: what is accepted lies within it, and its model and its tokenizer are ones that weft takes. */
#include "fuzz.h"
#include "try_tokenizer.h"

#include "convert/gguf_model.h"
#include "tokenizer/gguf.h"

#include <string.h>

static void read_tensors(const weft_gguf *file, size_t size)
{
    float part[64];
    size_t total = 0;
    for (size_t i = 0; i < weft_gguf_count(file); i++) {
        const weft_gguf_tensor *tensor = weft_gguf_get(file, i);
        int64_t elements = 1;
        for (int32_t d = 0; d < tensor->dimensions; d++) elements *= tensor->shape[d];
        fuzz_check(weft_gguf_type_bytes(tensor->type, (size_t)elements) == tensor->bytes, "a size is not its shape's");
        fuzz_check(weft_gguf_find(file, tensor->name) == tensor, "a tensor is not found by its name");
        for (int64_t at = 0; at < elements; at += 61)
            weft_gguf_to_float(tensor, at, elements - at < 61 ? elements - at : 61, part);
        total += tensor->bytes;
    }
    fuzz_check(total <= size, "tensors overlap");
}

static void read_values(const weft_gguf *file)
{
    size_t length = 0;
    for (size_t i = 0; i < weft_gguf_value_count(file); i++) {
        const weft_gguf_value *value = weft_gguf_value_get(file, i);
        weft_gguf_items items;
        weft_error error;
        fuzz_check(weft_gguf_value_find(file, value->key) == value, "a key is not found");
        if (weft_gguf_strings(file, value, &items, &error) == WEFT_OK)
            for (size_t k = 0; k < value->count; k++) length += weft_gguf_next_string(&items).length;
        if (weft_gguf_wholes(file, value, &items, &error) == WEFT_OK)
            for (size_t k = 0; k < value->count; k++) length += weft_gguf_next_whole(&items) > 0;
        if (weft_gguf_floats(file, value, &items, &error) == WEFT_OK)
            for (size_t k = 0; k < value->count; k++) length += weft_gguf_next_float(&items) > 0;
    }
    fuzz_check(length < SIZE_MAX / 2, "texts are longer than the file");
}

/* In another file, which is written anew while this one is open. */
static void read_tokenizer(const weft_gguf *file, const uint8_t *bytes, size_t size)
{
    weft_text json, settings;
    weft_error error;
    weft_error_clear(&error);
    weft_text_init(&json);
    weft_text_init(&settings);
    weft_status status = weft_gguf_tokenizer_read(file, &json, &settings, &error);
    fuzz_check_refusal(status, &error);
    weft_text_fini(&json);
    weft_text_fini(&settings);
    if (status == WEFT_OK) try_tokenizer("tokenizer.gguf", bytes, size, NULL);
}

static void read_model(const char *path)
{
    weft_gguf_model *model = NULL;
    weft_parameter parameter;
    weft_error error;
    float part[16];
    weft_error_clear(&error);
    weft_status status = weft_gguf_model_open(path, 0, &model, &error);
    fuzz_check_refusal(status, &error);
    for (int64_t i = 0; status == WEFT_OK && weft_model_parameter(&model->model, i, &parameter); i++) {
        if (parameter.tied) continue;
        int64_t count = parameter.elements < 16 ? parameter.elements : 16;
        fuzz_check_refusal(weft_gguf_model_read(model, &parameter, parameter.elements - count, 1, count, part, &error),
                           &error);
    }
    weft_gguf_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    weft_gguf *file = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_gguf_open(fuzz_file("a.gguf", bytes, size), &file, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) {
        read_tensors(file, size);
        read_values(file);
        read_model(weft_gguf_path(file));
        read_tokenizer(file, bytes, size);
    }
    weft_gguf_close(file);
    return 0;
}
