/* Tokenising files: what is written is what the tokenizer says, however it is packed and cut. */
#include "tokenizing.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

/* The ids of documents one after the other, each with its end. */
static void encode_all(const weft_text *texts, size_t count, weft_token_list *out)
{
    weft_error error;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(weft_tokenizer_encode(tokenizing_tokenizer, weft_text_get(&texts[i]), texts[i].length,
                                               WEFT_ENCODE_PLAIN, 1, out, &error),
                         WEFT_OK);
        assert_int_equal(weft_grow(&out->ids, &out->capacity, out->count + 1, sizeof *out->ids, &error), WEFT_OK);
        out->ids[out->count++] = END;
    }
}

enum { TEXTS = 7, SKIPPED = 12 };

/* The same lines by gzip and by Zstandard. */
static void expect_packed(const weft_text *lines)
{
    gzFile packed = gzopen(test_path("lines.jsonl.gz"), "wb");
    assert_int_equal(gzwrite(packed, lines->bytes, (unsigned)lines->length), lines->length);
    gzclose(packed);
    const char *gzip[] = {test_path("lines.jsonl.gz")};
    tokenizing_run(tokenizing_options(gzip, 1, "of-gzip"));
    tokenizing_expect_same("of-texts", "of-gzip", ".bin");

    size_t room = ZSTD_compressBound(lines->length);
    char *bytes = malloc(room + SKIPPED);
    memcpy(bytes, "\x50\x2a\x4d\x18\4\0\0\0four", SKIPPED); /* a frame that says nothing of the text */
    size_t length = SKIPPED + ZSTD_compress(bytes + SKIPPED, room, lines->bytes, lines->length, 1);
    const char *zstandard[] = {test_put("lines.ndjson.zst", bytes, length)};
    tokenizing_run(tokenizing_options(zstandard, 1, "of-zstandard"));
    tokenizing_expect_same("of-texts", "of-zstandard", ".bin");
    const char *cut[] = {test_put("cut.jsonl.zst", bytes, length / 2)};
    tokenizing_refuse(tokenizing_options(cut, 1, "of-cut"), "cut.jsonl.zst: is cut short");
    free(bytes);
}

static void expect_piped(const char *path)
{
    int kept = dup(STDIN_FILENO);
    assert_non_null(freopen(path, "rb", stdin));
    const char *standard[] = {"-"};
    weft_tokenize_options piped = tokenizing_options(standard, 1, "of-pipe");
    piped.pieces.format = WEFT_PASSAGES_JSONL;
    tokenizing_run(piped);
    tokenizing_expect_same("of-texts", "of-pipe", ".idx");
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    close(kept);
}

/* Text files of a folder, one of them longer than several batches; the same as JSONL, packed or not, and from a pipe.
 */
static void test_forms(void **state)
{
    (void)state;
    weft_text texts[TEXTS], lines;
    weft_token_list wanted = {0};
    weft_text_init(&lines);
    test_make_folder("texts");
    for (int i = 0; i < TEXTS; i++) {
        char name[] = "texts/0.txt";
        name[6] = (char)('0' + i);
        weft_text_init(&texts[i]);
        tokenizing_make_text(&texts[i], i == 2 ? 5000000 : (size_t)(100 * i + 1), (uint32_t)i);
        test_put(name, weft_text_get(&texts[i]), texts[i].length);
        tokenizing_add_record(&lines, &texts[i]);
        if (i % 3 == 0) weft_text_add(&lines, " \r\n");
    }
    encode_all(texts, TEXTS, &wanted);
    const char *folder[] = {test_path("texts")};
    weft_tokenize_totals totals = tokenizing_run(tokenizing_options(folder, 1, "of-texts"));
    assert_int_equal(totals.documents, TEXTS);
    assert_int_equal(totals.tokens, wanted.count);
    int32_t *tokens = calloc(wanted.count, sizeof *tokens);
    assert_non_null(tokens);
    assert_int_equal(tokenizing_read_tokens("of-texts", tokens, wanted.count), wanted.count);
    assert_memory_equal(tokens, wanted.ids, wanted.count * sizeof *tokens);
    free(tokens);

    const char *jsonl[] = {test_put("lines.jsonl", weft_text_get(&lines), lines.length)};
    tokenizing_run(tokenizing_options(jsonl, 1, "of-lines"));
    tokenizing_expect_same("of-texts", "of-lines", ".bin");
    tokenizing_expect_same("of-texts", "of-lines", ".idx");

    expect_packed(&lines);
    expect_piped(jsonl[0]);
    weft_text_fini(&lines);
    weft_token_list_fini(&wanted);
    for (int i = 0; i < TEXTS; i++) weft_text_fini(&texts[i]);
}

/* What the tokenizer puts round a text stands round the whole of it, in however many pieces or parts it is
 * read. */
static void test_begin(void **state)
{
    (void)state;
    enum { MOST = 3000000 };
    weft_token_list wanted = {0};
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    tokenizing_make_text(&text, MOST, 7);
    const char *inputs[] = {tokenizing_put_long_text("begin.txt", MOST, 7)};
    int32_t *tokens = calloc(MOST, sizeof *tokens);
    assert_non_null(tokens);
    weft_tokenize_options options = tokenizing_options(inputs, 1, "begin");
    options.encode.begin = true;
    tokenizing_run(options);
    size_t count = tokenizing_read_tokens("begin", tokens, MOST);
    assert_int_equal(weft_tokenizer_encode(tokenizing_tokenizer, weft_text_get(&text), text.length, WEFT_ENCODE_BEGIN,
                                           1, &wanted, &error),
                     WEFT_OK);
    assert_int_equal(count, wanted.count + 1);
    assert_int_equal(wanted.ids[wanted.count - 1], END_MARK);
    assert_memory_equal(tokens, wanted.ids, wanted.count * sizeof *tokens);

    inputs[0] = test_put_text("begin-filled.txt", "in the thin");
    options.prefix = test_path("begin-filled");
    options.encode.fill = (weft_fill_middle){1, 0.5, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, 3};
    tokenizing_run(options);
    count = tokenizing_read_tokens("begin-filled", tokens, MOST);
    assert_int_equal(tokens[0], BEGIN_MARK);
    assert_int_equal(tokens[1], FIM_PREFIX);
    assert_int_equal(tokens[count - 2], END_MARK);
    assert_int_equal(tokens[count - 1], END);
    free(tokens);
    weft_token_list_fini(&wanted);
    weft_text_fini(&text);
}

/* Undone, a document that was rearranged is what it was. */
static void test_fill_in_the_middle(void **state)
{
    (void)state;
    enum { DOCUMENTS = 300 };
    weft_text text, lines, undone;
    weft_error error;
    static int32_t tokens[200000];
    int kinds[3] = {0};
    weft_text_init(&lines);
    weft_text_init(&text);
    weft_text_init(&undone);
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        text.length = 0;
        tokenizing_make_text(&text, 50 + i, i);
        tokenizing_add_record(&lines, &text);
    }
    const char *inputs[] = {test_put("fill.jsonl", weft_text_get(&lines), lines.length)};
    weft_tokenize_options options = tokenizing_options(inputs, 1, "fill");
    options.encode.fill = (weft_fill_middle){0.5, 0.25, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, 3};
    tokenizing_run(options);
    size_t count = tokenizing_read_tokens("fill", tokens, 200000), at = 0;
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        size_t end = at, marks[3], mark = 0;
        while (tokens[end] != END) {
            if (tokens[end] >= FIM_PREFIX && tokens[end] <= FIM_MIDDLE) marks[mark++] = end;
            end++;
        }
        int kind = mark == 0 ? 0 : marks[1] == marks[0] + 1 && tokens[marks[1]] == FIM_SUFFIX ? 2 : 1;
        size_t parts[3][2] = {{at, end}, {end, end}, {end, end}}; /* prefix, middle, suffix */
        if (kind == 1) {
            size_t psm[3][2] = {{at + 1, marks[1]}, {marks[2] + 1, end}, {marks[1] + 1, marks[2]}};
            memcpy(parts, psm, sizeof parts);
        } else if (kind == 2) { /* the middle stands behind the prefix: together they are what was in front */
            size_t spm[3][2] = {{marks[2] + 1, end}, {end, end}, {marks[1] + 1, marks[2]}};
            memcpy(parts, spm, sizeof parts);
        }
        kinds[kind]++;
        undone.length = text.length = 0;
        for (int p = 0; p < 3; p++)
            assert_int_equal(weft_tokenizer_decode(tokenizing_tokenizer, tokens + parts[p][0],
                                                   parts[p][1] - parts[p][0], WEFT_DECODE_BYTES, &undone, &error),
                             WEFT_OK);
        tokenizing_make_text(&text, 50 + i, i);
        assert_string_equal(weft_text_get(&undone), weft_text_get(&text));
        at = end + 1;
    }
    assert_int_equal(at, count);
    assert_true(kinds[0] > 100 && kinds[1] > 60 && kinds[2] > 10 && kinds[2] < kinds[1]);
    weft_text_fini(&undone);
    weft_text_fini(&text);
    weft_text_fini(&lines);
}

static size_t tell_learnt(const char *prefix, size_t count, bool *learnt)
{
    weft_text mask = tokenizing_read(prefix, ".mask");
    size_t all = 0;
    assert_int_equal(mask.length, WEFT_MASK_HEAD + (count + 7) / 8);
    for (size_t i = 0; i < count; i++) {
        learnt[i] = (unsigned char)mask.bytes[WEFT_MASK_HEAD + i / 8] >> i % 8 & 1;
        all += learnt[i];
    }
    weft_text_fini(&mask);
    return all;
}

static weft_tokenize_options options_of_chat(const char *const *inputs, const weft_chat_template *form)
{
    weft_tokenize_options options = tokenizing_options(inputs, 1, "turns");
    options.encode.chat = form;
    return options;
}

/* Of a chat only what the assistant says, and the token that ends it, is learnt; names of special tokens in what is
 * said are text. */
static void test_chat(void **state)
{
    (void)state;
    static const char chat[] =
        "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": "
        "\"the <|im_end|>?\"}, {\"role\": \"assistant\", \"content\": \"in the\"}]}\n"
        "{\"conversations\": [{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"gpt\", \"value\": \"b\"}]}\n";
    static const char rendered[] =
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nthe <|im_end|>?<|im_end|>\n"
        "<|im_start|>assistant\nin the<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
        "<|im_start|>assistant\nb<|im_end|>\n";
    int32_t tokens[400];
    bool learnt[400];
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    const char *inputs[] = {test_put_text("chat.jsonl", chat)};
    weft_tokenize_options options = tokenizing_options(inputs, 1, "chat");
    assert_int_equal(weft_chat_template_find("chatml", tokenizing_tokenizer, &options.encode.chat, &error), WEFT_OK);
    tokenizing_run(options);
    size_t count = tokenizing_read_tokens("chat", tokens, 400);
    assert_int_equal(weft_tokenizer_decode(tokenizing_tokenizer, tokens, count, WEFT_DECODE_ALL, &text, &error),
                     WEFT_OK);
    assert_string_equal(weft_text_get(&text), rendered);
    tell_learnt("chat", count, learnt);
    size_t starts = 0, kept = 0;
    text.length = 0;
    for (size_t i = 0; i < count; i++) {
        starts += tokens[i] == USER;
        if (!learnt[i]) continue;
        tokens[kept++] = tokens[i];
    }
    assert_int_equal(starts, 5); /* the name in the question is none */
    assert_int_equal(weft_tokenizer_decode(tokenizing_tokenizer, tokens, kept, WEFT_DECODE_ALL, &text, &error),
                     WEFT_OK);
    assert_string_equal(weft_text_get(&text), "in the<|im_end|>b<|im_end|>");
    weft_text_fini(&text);

    assert_int_equal(weft_chat_template_find("llama3", tokenizing_tokenizer, &options.encode.chat, &error),
                     WEFT_INVALID);
    test_says(error.text, "template llama3 needs the special token <|begin_of_text|>");
    assert_int_equal(weft_chat_template_find("mistral", tokenizing_tokenizer, &options.encode.chat, &error), WEFT_OK);
    const char *turned[] = {
        test_put_text("turns.jsonl", "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}\n")};
    tokenizing_refuse(options_of_chat(turned, options.encode.chat), "turns.jsonl:1: message 1 is of \"assistant\"");
}

/* Packed, no document that fits is cut, all are there once, and fillers are not learnt. */
static void test_packed(void **state)
{
    (void)state;
    enum { T = 64, DOCUMENTS = 500, MOST = 200000 };
    static int32_t tokens[MOST];
    static bool learnt[MOST];
    int seen[DOCUMENTS] = {0};
    weft_text lines;
    weft_text_init(&lines);
    size_t total = 0;
    for (int i = 0; i < DOCUMENTS; i++) { /* document i is the letter of its length, and its number in letters */
        weft_text_add(&lines, "{\"text\": \"%c%c%c", 'A' + i / 26, 'a' + i % 26, '0');
        for (int k = 0; k < i * 13 % 90; k++) weft_text_add(&lines, "z");
        weft_text_add(&lines, "\"}\n");
        total += (size_t)(i * 13 % 90) + 4;
    }
    const char *inputs[] = {test_put("pack.jsonl", weft_text_get(&lines), lines.length)};
    weft_tokenize_options options = tokenizing_options(inputs, 1, "pack");
    options.pack = T;
    weft_tokenize_totals totals = tokenizing_run(options);
    size_t count = tokenizing_read_tokens("pack", tokens, MOST);
    assert_int_equal(count % T, 0);
    assert_int_equal(tell_learnt("pack", count, learnt), total);
    assert_int_equal(totals.filled, count - total);
    assert_true(totals.filled < total / 4);
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] < 'A' || tokens[i] > 'Z') continue;
        int document = (tokens[i] - 'A') * 26 + tokens[i + 1] - 'a', length = document * 13 % 90 + 4;
        seen[document]++;
        if (length > T) continue;
        assert_int_equal(i / T, (i + (size_t)length - 1) / T);
        assert_int_equal(tokens[i + (size_t)length - 1], END);
    }
    for (int i = 0; i < DOCUMENTS; i++) assert_int_equal(seen[i], 1);
    weft_text_fini(&lines);
}

/* Pictures, programs and what has zero bytes, packed or not; but not what is named, and not other bytes of texts. */
static void test_left_out(void **state)
{
    (void)state;
    static const char zero[] = "warp\0weft", png[] = "\x89PNG\r\n\x1a\n", latin[] = "caf\xe9 au lait\n";
    char *const program = calloc(1, 5000);
    memcpy(program, "\177ELF", 4);
    test_make_folder("mixed");
    test_make_folder("mixed/deep");
    test_put("mixed/a.txt", "the warp\n", 9);
    test_put("mixed/b.txt", zero, sizeof zero);
    test_put("mixed/c.png", png, sizeof png);
    test_put("mixed/d.txt", latin, sizeof latin - 1);
    test_put("mixed/deep/e", program, 5000);
    gzFile packed = gzopen(test_path("mixed/f.gz"), "wb");
    assert_int_equal(gzwrite(packed, program, 5000), 5000);
    gzclose(packed);
    test_put("mixed/g.txt", "", 0);
    free(program);
    const char *folder[] = {test_path("mixed")}, *texts[] = {test_path("mixed/a.txt"), test_path("mixed/d.txt")};
    weft_tokenize_totals totals = tokenizing_run(tokenizing_options(folder, 1, "mixed-left"));
    assert_int_equal(totals.left_out, 4);
    assert_string_equal(totals.left_example, test_path("mixed/b.txt"));
    assert_string_equal(totals.left_what, "binary, not text");
    totals = tokenizing_run(tokenizing_options(texts, 2, "mixed-named"));
    assert_int_equal(totals.left_out, 0);
    tokenizing_expect_same("mixed-left", "mixed-named", ".bin");
    tokenizing_expect_same("mixed-left", "mixed-named", ".idx");
    const char *named[] = {test_path("mixed/b.txt")}, *deep[] = {test_path("mixed/deep")};
    assert_int_equal(tokenizing_run(tokenizing_options(named, 1, "mixed-zero")).documents, 1);
    tokenizing_refuse(tokenizing_options(deep, 1, "mixed-none"), "mixed/deep/e is a program");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *words;
    } cases[] = {
        {"bad.jsonl", "{\"text\": \"a\"}\n{\"text\": 5\n", "bad.jsonl:2: is not JSON"},
        {"none.jsonl", "{\"text\": \"a\"}\n\n{\"body\": \"b\"}\n", "none.jsonl:3: has no text: no string \"text\""},
        {"number.jsonl", "{\"text\": 7}\n", "number.jsonl:1: has no text"},
        {"list.jsonl", "[1]\n", "list.jsonl:1: is no JSON object"},
        {"a.parquet", "PAR1....PAR1", "a.parquet: is Parquet"},
        {"a.xz",
         "\xfd"
         "7zXZ",
         "a.xz: is xz"},
        {"a.gz", "\x1f\x8b\x08zzzzzzzzzzzzzz", "a.gz: damaged gzip"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *inputs[] = {test_put(cases[i].name, cases[i].text, strlen(cases[i].text) + (i == 5))};
        tokenizing_refuse(tokenizing_options(inputs, 1, "refused"), cases[i].words);
        assert_false(weft_path_exists(test_path("refused.idx")));
        assert_false(weft_path_exists(test_path("refused.bin")));
        assert_false(weft_path_exists(test_path("refused.bin.part")));
    }
    const char *missing[] = {test_path("missing")};
    tokenizing_refuse(tokenizing_options(missing, 1, "refused"), "missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_begin),  cmocka_unit_test(test_fill_in_the_middle),
        cmocka_unit_test(test_chat),    cmocka_unit_test(test_packed), cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, tokenizing_set_up, tokenizing_tear_down);
}
