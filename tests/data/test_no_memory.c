/* Each allocation in turn fails, while corpora and blends of them are opened and read, and while files are tokenised.
 */
#include "../base/failing.h"
#include "base/file.h"
#include "data/data.h"
#include "data/tokenize.h"
#include "small_tokenizer.h"

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
    int32_t tokens[T * COUNT], targets[T * COUNT], begins[T * COUNT];
    const weft_data_options *options = context;
    weft_data_rows rows = {tokens, targets, options->documents ? begins : NULL};
    weft_data *data = NULL;
    TRY(weft_data_open(options, &data, error));
    weft_status status = weft_data_read(data, WEFT_DATA_TRAIN, 0, COUNT, rows, error);
    if (status == WEFT_OK) status = weft_data_read(data, WEFT_DATA_HELD_OUT, 0, COUNT, rows, error);
    weft_data_close(data);
    return status;
}

static const char *put_bytes(const char *name, const char *bytes, size_t count)
{
    static char path[80];
    weft_error error;
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (weft_file_write(path, bytes, count, &error) != WEFT_OK) fail_msg("%s", error.text);
    return path;
}

static void put(const char *name)
{
    char words[4000];
    for (size_t i = 0; i < sizeof words; i++) words[i] = (char)('a' + i % 7);
    put_bytes(name, words, sizeof words);
}

static void test_every_allocation(void **state)
{
    (void)state;
    char names[40][16], file[64];
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "%02d.txt", i);
        put(names[i]);
    }
    weft_data_options options = {.path = root, .tokens = 8, .held_out = 0.1, .seed = 5, .vocabulary = 256};
    assert_true(failing_each(open_and_read, &options, FAILING_REPORTS) > 3);
    snprintf(file, sizeof file, "%s/%s", root, names[3]);
    options.held_out_path = file;
    assert_true(failing_each(open_and_read, &options, FAILING_REPORTS) > 3);
}

static weft_status tokenize(void *context, weft_error *error)
{
    weft_tokenize_totals totals;
    return weft_tokenize(context, &totals, error);
}

/* Texts, packed chats with their mask, and a blend of what they become. */
static void test_tokenizing_and_blends(void **state)
{
    (void)state;
    static const char *const specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    static const char chat[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"in the beginning\"}, "
                               "{\"role\": \"assistant\", \"content\": \"was the weft, and the warp\"}]}\n";
    char paths[4][80], lines[40 * sizeof chat] = "";
    weft_tokenizer *tokenizer = NULL;
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    small_tokenizer_write(specials, 3, &text);
    const char *path = put_bytes("tokenizer.json", weft_text_get(&text), text.length);
    assert_int_equal(weft_tokenizer_create(path, NULL, &tokenizer, &error), WEFT_OK);
    weft_text_fini(&text);
    for (int i = 0; i < 40; i++) strcat(lines, chat);
    snprintf(paths[0], sizeof *paths, "%s", put_bytes("chats.jsonl", lines, strlen(lines)));
    snprintf(paths[1], sizeof *paths, "%s", put_bytes("text.txt", lines, strlen(lines)));
    snprintf(paths[2], sizeof *paths, "%s/chats", root);
    snprintf(paths[3], sizeof *paths, "%s/texts", root);
    const char *inputs[] = {paths[0], paths[1]};
    weft_tokenize_options options = {.pieces = {.inputs = inputs + 1, .input_count = 1, .tokenizer = tokenizer},
                                     .encode = {tokenizer, "text", NULL, false, false, SMALL_SPECIALS, {0}},
                                     .prefix = paths[3],
                                     .threads = 2,
                                     .anew = true};
    assert_true(failing_each(tokenize, &options, FAILING_REPORTS) > 10);
    assert_int_equal(weft_chat_template_find("chatml", tokenizer, &options.encode.chat, &error), WEFT_OK);
    options.pieces.inputs = inputs;
    options.prefix = paths[2];
    options.pack = 64;
    assert_true(failing_each(tokenize, &options, FAILING_REPORTS) > 10);

    const weft_data_source sources[] = {{paths[2], 1}, {paths[3], 2.5}};
    weft_data_options blend = {.sources = sources,
                               .source_count = 2,
                               .tokens = 8,
                               .held_out = 0.1,
                               .seed = 5,
                               .vocabulary = 300,
                               .documents = true,
                               .end_of_text = SMALL_SPECIALS};
    assert_true(failing_each(open_and_read, &blend, FAILING_REPORTS) > 10);
    weft_tokenizer_destroy(tokenizer);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return weft_folder_remove(root, NULL) == WEFT_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation),
                                       cmocka_unit_test(test_tokenizing_and_blends)};
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
