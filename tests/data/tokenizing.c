#include "tokenizing.h"

weft_tokenizer *tokenizing_tokenizer;

/* Bytes, four merges, special tokens, and two of these round a text. */
static void tokenizing_make(void)
{
    static const char *const specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fim_prefix>",
                                           "<fim_suffix>",  "<fim_middle>", "<s>",        "</s>"};
    weft_text text;
    weft_error error;
    weft_text_init(&text);
    small_tokenizer_write(specials, 8, &text);
    text.length -= strlen("}\n");
    weft_text_add(&text,
                  ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": ["
                  "{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
                  "\"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"</s>\", \"type_id\": 0}}], "
                  "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [%d], \"tokens\": [\"<s>\"]}, "
                  "\"</s>\": {\"id\": \"</s>\", \"ids\": [%d], \"tokens\": [\"</s>\"]}}}}\n",
                  SMALL_SPECIALS + 6, SMALL_SPECIALS + 7);
    const char *path = test_put("tokenizer.json", weft_text_get(&text), text.length);
    if (weft_tokenizer_create(path, NULL, &tokenizing_tokenizer, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_text_fini(&text);
}

weft_tokenize_options tokenizing_options(const char *const *inputs, size_t count, const char *prefix)
{
    return (weft_tokenize_options){
        .pieces = {.inputs = inputs, .input_count = count, .tokenizer = tokenizing_tokenizer},
        .encode = {.tokenizer = tokenizing_tokenizer, .field = "text", .end_of_text = END},
        .prefix = test_path(prefix),
        .threads = 3,
    };
}

weft_tokenize_totals tokenizing_run(weft_tokenize_options options)
{
    weft_error error;
    weft_tokenize_totals totals;
    if (weft_tokenize(&options, &totals, &error) != WEFT_OK) fail_msg("%s", error.text);
    return totals;
}

void tokenizing_refuse(weft_tokenize_options options, const char *words)
{
    weft_error error;
    weft_tokenize_totals totals;
    assert_int_equal(weft_tokenize(&options, &totals, &error), WEFT_INVALID);
    test_says(error.text, words);
}

weft_text tokenizing_read(const char *prefix, const char *ending)
{
    char path[512];
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    snprintf(path, sizeof path, "%s%s", test_path(prefix), ending);
    if (weft_file_read(path, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    return text;
}

void tokenizing_expect_same(const char *a, const char *b, const char *ending)
{
    weft_text one = tokenizing_read(a, ending), other = tokenizing_read(b, ending);
    assert_int_equal(one.length, other.length);
    assert_memory_equal(weft_text_get(&one), weft_text_get(&other), one.length);
    weft_text_fini(&one);
    weft_text_fini(&other);
}

/* The uint16 tokens of a data set. */
size_t tokenizing_read_tokens(const char *prefix, int32_t *out, size_t most)
{
    weft_text bytes = tokenizing_read(prefix, ".bin");
    size_t count = bytes.length / 2;
    assert_true(count <= most);
    for (size_t i = 0; i < count; i++)
        out[i] = (unsigned char)bytes.bytes[2 * i] | (unsigned char)bytes.bytes[2 * i + 1] << 8;
    weft_text_fini(&bytes);
    return count;
}

/* A text without end, of words, blanks and lines, and characters of several bytes. */
void tokenizing_make_text(weft_text *out, size_t length, uint32_t state)
{
    static const char *const words[] = {"the ",         "in", "thin", "\n", "  ", " weaver", "\303\251t\303\251 ",
                                        "\346\227\245", "!"};
    while (out->length < length) {
        state = state * 1664525 + 1013904223;
        const char *word = words[(state >> 24) % (sizeof words / sizeof *words)];
        weft_text_add_bytes(out, word, strlen(word));
    }
}

void tokenizing_add_record(weft_text *out, const weft_text *text)
{
    weft_text_add(out, "{\"id\": 1, \"text\": ");
    weft_text_add_json(out, weft_text_get(text));
    weft_text_add(out, "}\n");
}

const char *tokenizing_put_long_text(const char *name, size_t length, uint32_t state)
{
    weft_text text;
    weft_text_init(&text);
    tokenizing_make_text(&text, length, state);
    const char *path = test_put(name, weft_text_get(&text), text.length);
    weft_text_fini(&text);
    return path;
}

int tokenizing_set_up(void **state)
{
    if (test_make_root(state) != 0) return -1;
    tokenizing_make();
    return 0;
}

int tokenizing_tear_down(void **state)
{
    weft_tokenizer_destroy(tokenizing_tokenizer);
    return test_remove_root(state);
}
