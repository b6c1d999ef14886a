#include "fixture.h"

#include "base/file.h"

#include <unistd.h>

static char root[] = "/tmp/weft-data-XXXXXX";

int test_make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

int test_remove_root(void **state)
{
    (void)state;
    weft_error error;
    return weft_folder_remove(root, &error) == WEFT_OK ? 0 : -1;
}

const char *test_path(const char *name)
{
    static char paths[64][512];
    static int turn;
    turn = (turn + 1) % 64;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", root, name);
    return paths[turn];
}

const char *test_put(const char *name, const void *bytes, size_t count)
{
    const char *path = test_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
    return path;
}

const char *test_put_text(const char *name, const char *text)
{
    return test_put(name, text, strlen(text));
}

void test_make_folder(const char *name)
{
    weft_error error;
    assert_int_equal(weft_folder_create(test_path(name), &error), WEFT_OK);
}

const char *test_put_numbers(const char *name, const uint32_t *numbers, size_t count, int width, bool big)
{
    unsigned char *bytes = calloc(count + 1, (size_t)width);
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < width && k < 4; k++)
            bytes[i * (size_t)width + (size_t)(big ? width - 1 - k : k)] = (unsigned char)(numbers[i] >> 8 * k);
    const char *path = test_put(name, bytes, count * (size_t)width);
    free(bytes);
    return path;
}

weft_data_options test_options(const char *path, int64_t tokens, double held_out)
{
    return (weft_data_options){.path = path, .tokens = tokens, .held_out = held_out, .seed = 5, .vocabulary = 1 << 30};
}

weft_data *test_open(weft_data_options options)
{
    weft_error error;
    weft_error_clear(&error);
    weft_data *data = NULL;
    if (weft_data_open(&options, &data, &error) != WEFT_OK) fail_msg("%s", error.text);
    return data;
}

void test_says(const char *text, const char *words)
{
    if (!strstr(text, words)) fail_msg("\"%s\" does not say \"%s\"", text, words);
}

void test_refuse(weft_data_options options, const char *words)
{
    weft_error error;
    weft_error_clear(&error);
    weft_data *data = NULL;
    weft_status status = weft_data_open(&options, &data, &error);
    if (status == WEFT_OK) fail_msg("opened, and does not say \"%s\"", words);
    test_says(error.text, words);
    assert_int_equal(status, WEFT_INVALID);
    assert_null(data);
}

const char *test_notes(const weft_data *data)
{
    static char kept[4096];
    weft_text notes;
    weft_text_init(&notes);
    weft_data_describe(data, &notes);
    snprintf(kept, sizeof kept, "%s", weft_text_get(&notes));
    weft_text_fini(&notes);
    return kept;
}
