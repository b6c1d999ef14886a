/* Each allocation in turn fails, while a file of tensors is written and read. */
#include "../base/failing.h"
#include "tensor/gguf_write.h"
#include "tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static weft_status write_and_read(void *context, weft_error *error)
{
    static const float numbers[6] = {1, 2, 3, 4, 5, 6};
    static const weft_tensor_entry entries[] = {{"a", WEFT_FP32, 2, {2, 3}, numbers, sizeof numbers},
                                                {"b", WEFT_FP32, 1, {6}, numbers, sizeof numbers}};
    uint64_t written, read, bytes;
    weft_safetensors *file = NULL;
    TRY(weft_safetensors_write(context, entries, 2, &written, &bytes, error));
    TRY(weft_file_checksum(context, &read, &bytes, error));
    assert_true(written == read);
    TRY(weft_safetensors_open(context, &file, error));
    const weft_tensor_entry *found = weft_safetensors_find(file, "b");
    assert_true(found && memcmp(found->data, numbers, sizeof numbers) == 0);
    weft_safetensors_close(file);
    return WEFT_OK;
}

static weft_status give(void *context, size_t tensor, size_t from, size_t left, const void **out, size_t *out_count,
                        weft_error *error)
{
    (void)tensor;
    (void)error;
    *out = (const char *)context + from;
    *out_count = left;
    return WEFT_OK;
}

static weft_status write_and_read_gguf(void *context, weft_error *error)
{
    static float numbers[6] = {1, 2, 3, 4, 5, 6};
    const int64_t shape[] = {2, 3};
    const weft_gguf_source source = {numbers, give};
    weft_gguf_list list;
    weft_gguf *file = NULL;
    weft_gguf_list_init(&list);
    weft_gguf_put_string(&list, "a.key", "a text");
    size_t size = weft_gguf_put_tensor(&list, "a", WEFT_GGUF_F32, 2, shape);
    weft_status status = weft_gguf_write(&list, &size, &source, context, error);
    weft_gguf_list_fini(&list);
    if (status != WEFT_OK) return status;
    TRY(weft_gguf_open(context, &file, error));
    const weft_gguf_tensor *found = weft_gguf_find(file, "a");
    assert_true(found && memcmp(found->data, numbers, sizeof numbers) == 0);
    weft_gguf_close(file);
    return WEFT_OK;
}

static void test_every_allocation(void **state)
{
    (void)state;
    char root[] = "/tmp/weft-no-memory-XXXXXX", path[64];
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/a.safetensors", root);
    assert_true(failing_each(write_and_read, path, FAILING_REPORTS) > 3);
    assert_true(failing_each(write_and_read_gguf, path, FAILING_REPORTS) > 3);
    assert_int_equal(weft_folder_remove(root, NULL), WEFT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
