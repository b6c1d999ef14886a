/* Each allocation in turn fails, while corpora are opened and read. */
#include "../base/failing.h"
#include "base/file.h"
#include "data/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char root[] = "/tmp/weft-no-memory-XXXXXX";

static weft_status open_and_read(void *context, weft_error *error)
{
    enum { T = 8, COUNT = 3 };
    int32_t tokens[T * COUNT], targets[T * COUNT];
    weft_data *data = NULL;
    TRY(weft_data_open(context, &data, error));
    weft_status status =
        weft_data_read(data, WEFT_DATA_TRAIN, 0, COUNT, (weft_data_rows){.tokens = tokens, .targets = targets}, error);
    if (status == WEFT_OK)
        status = weft_data_read(data, WEFT_DATA_HELD_OUT, 0, COUNT,
                                (weft_data_rows){.tokens = tokens, .targets = targets}, error);
    weft_data_close(data);
    return status;
}

static void put(const char *name)
{
    char path[80], words[4000];
    weft_error error;
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (size_t i = 0; i < sizeof words; i++) words[i] = (char)('a' + i % 7);
    if (weft_file_write(path, words, sizeof words, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static void test_every_allocation(void **state)
{
    (void)state;
    char names[40][16], file[64];
    assert_non_null(mkdtemp(root));
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "%02d.txt", i);
        put(names[i]);
    }
    weft_data_options options = {.path = root, .tokens = 8, .held_out = 0.1, .seed = 5, .vocabulary = 256};
    assert_true(failing_each(open_and_read, &options, FAILING_REPORTS) > 3);
    snprintf(file, sizeof file, "%s/%s", root, names[3]);
    options.held_out_path = file;
    assert_true(failing_each(open_and_read, &options, FAILING_REPORTS) > 3);
    assert_int_equal(weft_folder_remove(root, NULL), WEFT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
