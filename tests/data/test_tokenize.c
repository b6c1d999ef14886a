/* Tokenising files: what is written is what the tokenizer says, however it is packed, cut, stopped and gone on with. */
#include "fixture.h"
#include "small_tokenizer.h"

#include "base/file.h"
#include "data/mask.h"
#include "data/tokenize.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static weft_tokenizer *tokenizer;

/* Bytes, four merges, special tokens, and two of these round a text. */
static void make_tokenizer(void)
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
    if (weft_tokenizer_create(path, NULL, &tokenizer, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_text_fini(&text);
}

enum { END = SMALL_SPECIALS, USER, FIM_PREFIX = SMALL_SPECIALS + 3, FIM_SUFFIX, FIM_MIDDLE, BEGIN_MARK, END_MARK };

static weft_tokenize_options options_of(const char *const *inputs, size_t count, const char *prefix)
{
    return (weft_tokenize_options){
        .pieces = {.inputs = inputs, .input_count = count, .tokenizer = tokenizer},
        .encode = {.tokenizer = tokenizer, .field = "text", .end_of_text = END},
        .prefix = test_path(prefix),
        .threads = 3,
    };
}

static weft_tokenize_totals run(weft_tokenize_options options)
{
    weft_error error;
    weft_tokenize_totals totals;
    if (weft_tokenize(&options, &totals, &error) != WEFT_OK) fail_msg("%s", error.text);
    return totals;
}

static void refuse(weft_tokenize_options options, const char *words)
{
    weft_error error;
    weft_tokenize_totals totals;
    assert_int_equal(weft_tokenize(&options, &totals, &error), WEFT_INVALID);
    test_says(error.text, words);
}

static weft_text read_file(const char *prefix, const char *ending)
{
    char path[512];
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    snprintf(path, sizeof path, "%s%s", test_path(prefix), ending);
    if (weft_file_read(path, &text, &error) != WEFT_OK) fail_msg("%s", error.text);
    return text;
}

static void expect_same(const char *a, const char *b, const char *ending)
{
    weft_text one = read_file(a, ending), other = read_file(b, ending);
    assert_int_equal(one.length, other.length);
    assert_memory_equal(weft_text_get(&one), weft_text_get(&other), one.length);
    weft_text_fini(&one);
    weft_text_fini(&other);
}

/* The uint16 tokens of a data set. */
static size_t read_tokens(const char *prefix, int32_t *out, size_t most)
{
    weft_text bytes = read_file(prefix, ".bin");
    size_t count = bytes.length / 2;
    assert_true(count <= most);
    for (size_t i = 0; i < count; i++)
        out[i] = (unsigned char)bytes.bytes[2 * i] | (unsigned char)bytes.bytes[2 * i + 1] << 8;
    weft_text_fini(&bytes);
    return count;
}

/* A text without end, of words, blanks and lines, and characters of several bytes. */
static void make_text(weft_text *out, size_t length, uint32_t state)
{
    static const char *const words[] = {"the ",         "in", "thin", "\n", "  ", " weaver", "\303\251t\303\251 ",
                                        "\346\227\245", "!"};
    while (out->length < length) {
        state = state * 1664525 + 1013904223;
        const char *word = words[(state >> 24) % (sizeof words / sizeof *words)];
        weft_text_add_bytes(out, word, strlen(word));
    }
}

static void add_record(weft_text *out, const weft_text *text)
{
    weft_text_add(out, "{\"id\": 1, \"text\": ");
    weft_text_add_json(out, weft_text_get(text));
    weft_text_add(out, "}\n");
}

/* The ids of documents one after the other, each with its end. */
static void encode_all(const weft_text *texts, size_t count, weft_token_list *out)
{
    weft_error error;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(weft_tokenizer_encode(tokenizer, weft_text_get(&texts[i]), texts[i].length, WEFT_ENCODE_PLAIN,
                                               1, out, &error),
                         WEFT_OK);
        assert_int_equal(weft_grow(&out->ids, &out->capacity, out->count + 1, sizeof *out->ids, &error), WEFT_OK);
        out->ids[out->count++] = END;
    }
}

enum { TEXTS = 7, SKIPPED = 12 };

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
        make_text(&texts[i], i == 2 ? 5000000 : (size_t)(100 * i + 1), (uint32_t)i);
        test_put(name, weft_text_get(&texts[i]), texts[i].length);
        add_record(&lines, &texts[i]);
        if (i % 3 == 0) weft_text_add(&lines, " \r\n");
    }
    encode_all(texts, TEXTS, &wanted);
    const char *folder[] = {test_path("texts")};
    weft_tokenize_totals totals = run(options_of(folder, 1, "of-texts"));
    assert_int_equal(totals.documents, TEXTS);
    assert_int_equal(totals.tokens, wanted.count);
    int32_t *tokens = calloc(wanted.count, sizeof *tokens);
    assert_non_null(tokens);
    assert_int_equal(read_tokens("of-texts", tokens, wanted.count), wanted.count);
    assert_memory_equal(tokens, wanted.ids, wanted.count * sizeof *tokens);
    free(tokens);

    const char *jsonl[] = {test_put("lines.jsonl", weft_text_get(&lines), lines.length)};
    run(options_of(jsonl, 1, "of-lines"));
    expect_same("of-texts", "of-lines", ".bin");
    expect_same("of-texts", "of-lines", ".idx");

    gzFile packed = gzopen(test_path("lines.jsonl.gz"), "wb");
    assert_int_equal(gzwrite(packed, lines.bytes, (unsigned)lines.length), lines.length);
    gzclose(packed);
    const char *gzip[] = {test_path("lines.jsonl.gz")};
    run(options_of(gzip, 1, "of-gzip"));
    expect_same("of-texts", "of-gzip", ".bin");

    size_t room = ZSTD_compressBound(lines.length);
    char *bytes = malloc(room + SKIPPED);
    memcpy(bytes, "\x50\x2a\x4d\x18\4\0\0\0four", SKIPPED); /* a frame that says nothing of the text */
    size_t length = SKIPPED + ZSTD_compress(bytes + SKIPPED, room, lines.bytes, lines.length, 1);
    const char *zstandard[] = {test_put("lines.ndjson.zst", bytes, length)};
    run(options_of(zstandard, 1, "of-zstandard"));
    expect_same("of-texts", "of-zstandard", ".bin");
    const char *cut[] = {test_put("cut.jsonl.zst", bytes, length / 2)};
    refuse(options_of(cut, 1, "of-cut"), "cut.jsonl.zst: is cut short");
    free(bytes);

    int kept = dup(STDIN_FILENO);
    assert_non_null(freopen(jsonl[0], "rb", stdin));
    const char *standard[] = {"-"};
    weft_tokenize_options piped = options_of(standard, 1, "of-pipe");
    piped.pieces.format = WEFT_PASSAGES_JSONL;
    run(piped);
    expect_same("of-texts", "of-pipe", ".idx");
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    close(kept);

    weft_text_fini(&lines);
    weft_token_list_fini(&wanted);
    for (int i = 0; i < TEXTS; i++) weft_text_fini(&texts[i]);
}

typedef struct {
    int asked, after;
} stopping;

static bool stops(void *context)
{
    stopping *it = context;
    return ++it->asked > it->after;
}

/* Stopped again and again, in the middle of a document and between two, it ends with the same bytes. */
static void expect_resumed(weft_tokenize_options options, const char *whole, const char *parts)
{
    static const char *const endings[] = {".bin", ".idx", ".mask"};
    int runs = 0;
    options.prefix = test_path(whole);
    run(options);
    options.prefix = test_path(parts);
    for (bool stopped = true; stopped; runs++) {
        stopping it = {0, 1 + runs % 3};
        options.stop = stops;
        options.context = &it;
        options.threads = 1 + runs % 2;
        weft_tokenize_totals totals = run(options);
        stopped = totals.stopped;
        char index[512];
        snprintf(index, sizeof index, "%s.idx", test_path(parts));
        assert_int_equal(weft_path_exists(index), !stopped);
    }
    assert_true(runs > 3);
    for (int i = 0; i < (options.encode.chat || options.pack ? 3 : 2); i++) expect_same(whole, parts, endings[i]);
    char left[512];
    snprintf(left, sizeof left, "%s.progress", test_path(parts));
    assert_false(weft_path_exists(left));
}

static void test_resumed(void **state)
{
    (void)state;
    weft_text text, lines;
    weft_text_init(&text);
    weft_text_init(&lines);
    make_text(&text, 9000000, 5);
    const char *inputs[2] = {test_put("long.txt", weft_text_get(&text), text.length)};
    for (uint32_t i = 0; i < 30000; i++) {
        text.length = 0;
        make_text(&text, 1 + i * 7919 % 400, i);
        add_record(&lines, &text);
    }
    inputs[1] = test_put("many.jsonl", weft_text_get(&lines), lines.length);
    expect_resumed(options_of(inputs, 2, ""), "whole", "parts");
    weft_tokenize_options filled = options_of(inputs, 2, "");
    filled.encode.fill = (weft_fill_middle){0.5, 0.5, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, 3};
    expect_resumed(filled, "filled-whole", "filled-parts");
    weft_text_fini(&text);
    weft_text_fini(&lines);
}

/* What was ended in the middle is not gone on with by another command, unless it is told to begin anew. */
static void test_other_command(void **state)
{
    (void)state;
    weft_text text;
    weft_text_init(&text);
    make_text(&text, 6000000, 6);
    const char *inputs[] = {test_put("other.txt", weft_text_get(&text), text.length)};
    weft_text_fini(&text);
    stopping it = {0, 1};
    weft_tokenize_options options = options_of(inputs, 1, "other");
    options.stop = stops;
    options.context = &it;
    assert_true(run(options).stopped);
    options.stop = NULL;
    options.encode.end_of_text = -1;
    refuse(options, "other.progress: an earlier run with other inputs or options");
    options.anew = true;
    assert_false(run(options).stopped);
    options.anew = false;
    refuse(options, "other.idx: is there already");
}

/* A run that begins anew leaves no place to go on from to the one before it, which had other inputs. */
static void test_anew_and_back(void **state)
{
    (void)state;
    weft_text text;
    weft_text_init(&text);
    make_text(&text, 6000000, 7);
    const char *inputs[] = {test_put("back.txt", weft_text_get(&text), text.length), NULL, NULL};
    text.length = 0;
    make_text(&text, 6000000, 8);
    inputs[1] = test_put("else.txt", weft_text_get(&text), text.length);
    inputs[2] = test_put_text("broken.jsonl", "{\"text\": 5}\n");
    weft_text_fini(&text);
    stopping it = {0, 1};
    weft_tokenize_options options = options_of(inputs, 1, "back-whole"), other = options_of(inputs + 1, 2, "back");
    run(options);
    options.prefix = other.prefix;
    options.stop = stops;
    options.context = &it;
    assert_true(run(options).stopped);
    other.anew = true;
    refuse(other, "broken.jsonl:1: has no text");
    options.stop = NULL;
    run(options);
    expect_same("back-whole", "back", ".bin");
    expect_same("back-whole", "back", ".idx");
}

static const char *put_chats(const char *name, int count)
{
    weft_text lines;
    weft_text_init(&lines);
    for (int i = 0; i < count; i++)
        weft_text_add(&lines,
                      "{\"messages\": [{\"role\": \"user\", \"content\": \"%0*d?\"}, {\"role\": \"assistant\", "
                      "\"content\": \"in the %d\"}]}\n",
                      1 + i % 300, i, i);
    const char *path = test_put(name, weft_text_get(&lines), lines.length);
    weft_text_fini(&lines);
    return path;
}

/* Ended while files get their names, it goes on, too. */
static void test_ended_between_names(void **state)
{
    (void)state;
    static const char *const endings[] = {".bin", ".mask", ".idx"};
    const char *inputs[] = {put_chats("names.jsonl", 12000)};
    weft_error error;
    stopping it = {0, 1};
    weft_tokenize_options options = options_of(inputs, 1, "names-whole");
    assert_int_equal(weft_chat_template_find("chatml", tokenizer, &options.encode.chat, &error), WEFT_OK);
    run(options);
    options.prefix = test_path("names");
    options.stop = stops;
    options.context = &it;
    assert_true(run(options).stopped);
    options.stop = NULL;
    for (int i = 0; i < 2; i++) {
        char aside[512], named[512];
        snprintf(aside, sizeof aside, "%s%s.part", options.prefix, endings[i]);
        snprintf(named, sizeof named, "%s%s", options.prefix, endings[i]);
        assert_int_equal(rename(aside, named), 0);
    }
    assert_true(run(options).resumed > 0);
    for (int i = 0; i < 3; i++) expect_same("names-whole", "names", endings[i]);
}

/* Packed, too, whenever it is stopped. */
static void test_packed_and_stopped(void **state)
{
    (void)state;
    static const char *const endings[] = {".bin", ".mask", ".idx"};
    const char *inputs[] = {put_chats("blocks.jsonl", 12000)};
    stopping it = {0, 1};
    weft_tokenize_options options = options_of(inputs, 1, "blocks-whole");
    weft_error error;
    assert_int_equal(weft_chat_template_find("chatml", tokenizer, &options.encode.chat, &error), WEFT_OK);
    options.pack = 640;
    run(options);
    options.prefix = test_path("blocks");
    options.stop = stops;
    options.context = &it;
    weft_tokenize_totals totals = run(options);
    assert_true(totals.stopped && totals.documents == 0); /* no block is closed before its time */
    options.stop = NULL;
    run(options);
    for (int i = 0; i < 3; i++) expect_same("blocks-whole", "blocks", endings[i]);
}

static const char *put_long_text(const char *name, size_t length)
{
    weft_text text;
    weft_text_init(&text);
    make_text(&text, length, 7);
    const char *path = test_put(name, weft_text_get(&text), text.length);
    weft_text_fini(&text);
    return path;
}

static bool is_there(const char *name)
{
    return weft_path_exists(test_path(name));
}

/* Where a run begins anew, nothing is left that another one could take for its own. */
static void test_anew(void **state)
{
    (void)state;
    const char *inputs[] = {put_long_text("anew.txt", 6000000)};
    stopping it = {0, 1};
    weft_tokenize_options first = options_of(inputs, 1, "anew"), other = first;
    run(options_of(inputs, 1, "anew-whole"));
    first.stop = other.stop = stops;
    first.context = other.context = &it;
    assert_true(run(first).stopped);
    assert_true(is_there("anew.progress"));
    it = (stopping){0, 0};
    other.anew = true;
    other.encode.end_of_text = -1;
    assert_true(run(other).stopped);
    assert_false(is_there("anew.progress"));
    assert_false(is_there("anew.bin.part"));
    first.stop = NULL;
    assert_int_equal(run(first).resumed, 0);
    expect_same("anew-whole", "anew", ".bin");
}

/* Blocks are filled up at places that the text decides: stopped in front of the first one, all is done again. */
static void test_packed_resumed(void **state)
{
    (void)state;
    const char *inputs[] = {put_long_text("packed.txt", 6000000)};
    stopping it = {0, 2};
    weft_tokenize_options options = options_of(inputs, 1, "packed-whole");
    options.pack = 1000;
    run(options);
    options.prefix = test_path("packed-parts");
    options.stop = stops;
    options.context = &it;
    weft_tokenize_totals totals = run(options);
    assert_true(totals.stopped);
    assert_int_equal(totals.documents, 0);
    options.stop = NULL;
    run(options);
    expect_same("packed-whole", "packed-parts", ".bin");
    expect_same("packed-whole", "packed-parts", ".idx");
    expect_same("packed-whole", "packed-parts", ".mask");
}

/* What has the names of the data set stays as it is, and is named before there was work for nothing. */
static void test_names(void **state)
{
    (void)state;
    const char *inputs[] = {test_put_text("names.txt", "in the")};
    test_put_text("kept.bin", "mine");
    test_put_text("masked.mask", "mine");
    test_make_folder("folder.mask");
    refuse(options_of(inputs, 1, "kept"), "kept.bin: is there already");
    refuse(options_of(inputs, 1, "masked"), "masked.mask: is there already");
    refuse(options_of(inputs, 1, "folder"), "folder.mask: is a folder");
    refuse(options_of(inputs, 1, "kept.bin"), "kept.bin: is to be a prefix, without .bin");
    refuse(options_of(inputs, 1, "folder/"), "is no prefix of names of files");
    weft_text kept = read_file("kept", ".bin");
    assert_string_equal(weft_text_get(&kept), "mine");
    weft_text_fini(&kept);
    assert_true(is_there("masked.mask"));
    test_put_text("torn.progress", "weft tokenize 1 0123\n4 5");
    refuse(options_of(inputs, 1, "torn"), "torn.progress: does not say where");
    const char *empty[] = {test_put_text("empty.txt", "")};
    refuse(options_of(empty, 1, "of-empty"), "the inputs hold no text");
    assert_false(is_there("of-empty.bin.part"));
}

typedef struct {
    const weft_tokenize_options *options;
    int refused;
} rival;

static void run_beside(void *context, const weft_tokenize_totals *totals)
{
    rival *it = context;
    weft_tokenize_options options = *it->options;
    weft_error error;
    weft_tokenize_totals ignored;
    (void)totals;
    options.tell = NULL;
    options.anew = true;
    assert_int_equal(weft_tokenize(&options, &ignored, &error), WEFT_INVALID);
    test_says(error.text, "beside: another run is writing it");
    it->refused++;
}

static void test_two_runs(void **state)
{
    (void)state;
    const char *inputs[] = {test_put_text("beside.txt", "in the")};
    weft_tokenize_options options = options_of(inputs, 1, "beside");
    rival it = {&options, 0};
    options.tell = run_beside;
    options.context = &it;
    run(options);
    assert_int_equal(it.refused, 1);
    assert_true(is_there("beside.idx"));
    assert_false(is_there("beside.lock.part"));
}

/* What the tokenizer puts round a text stands round the whole of it, in however many pieces or parts it is read. */
static void test_begin(void **state)
{
    (void)state;
    enum { MOST = 3000000 };
    weft_token_list wanted = {0};
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    make_text(&text, MOST, 7);
    const char *inputs[] = {put_long_text("begin.txt", MOST)};
    int32_t *tokens = calloc(MOST, sizeof *tokens);
    assert_non_null(tokens);
    weft_tokenize_options options = options_of(inputs, 1, "begin");
    options.encode.begin = true;
    run(options);
    size_t count = read_tokens("begin", tokens, MOST);
    assert_int_equal(
        weft_tokenizer_encode(tokenizer, weft_text_get(&text), text.length, WEFT_ENCODE_BEGIN, 1, &wanted, &error),
        WEFT_OK);
    assert_int_equal(count, wanted.count + 1);
    assert_int_equal(wanted.ids[wanted.count - 1], END_MARK);
    assert_memory_equal(tokens, wanted.ids, wanted.count * sizeof *tokens);

    inputs[0] = test_put_text("begin-filled.txt", "in the thin");
    options.prefix = test_path("begin-filled");
    options.encode.fill = (weft_fill_middle){1, 0.5, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, 3};
    run(options);
    count = read_tokens("begin-filled", tokens, MOST);
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
        make_text(&text, 50 + i, i);
        add_record(&lines, &text);
    }
    const char *inputs[] = {test_put("fill.jsonl", weft_text_get(&lines), lines.length)};
    weft_tokenize_options options = options_of(inputs, 1, "fill");
    options.encode.fill = (weft_fill_middle){0.5, 0.25, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, 3};
    run(options);
    size_t count = read_tokens("fill", tokens, 200000), at = 0;
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
            assert_int_equal(weft_tokenizer_decode(tokenizer, tokens + parts[p][0], parts[p][1] - parts[p][0],
                                                   WEFT_DECODE_BYTES, &undone, &error),
                             WEFT_OK);
        make_text(&text, 50 + i, i);
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
    weft_text mask = read_file(prefix, ".mask");
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
    weft_tokenize_options options = options_of(inputs, 1, "turns");
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
    weft_tokenize_options options = options_of(inputs, 1, "chat");
    assert_int_equal(weft_chat_template_find("chatml", tokenizer, &options.encode.chat, &error), WEFT_OK);
    run(options);
    size_t count = read_tokens("chat", tokens, 400);
    assert_int_equal(weft_tokenizer_decode(tokenizer, tokens, count, WEFT_DECODE_ALL, &text, &error), WEFT_OK);
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
    assert_int_equal(weft_tokenizer_decode(tokenizer, tokens, kept, WEFT_DECODE_ALL, &text, &error), WEFT_OK);
    assert_string_equal(weft_text_get(&text), "in the<|im_end|>b<|im_end|>");
    weft_text_fini(&text);

    assert_int_equal(weft_chat_template_find("llama3", tokenizer, &options.encode.chat, &error), WEFT_INVALID);
    test_says(error.text, "template llama3 needs the special token <|begin_of_text|>");
    assert_int_equal(weft_chat_template_find("mistral", tokenizer, &options.encode.chat, &error), WEFT_OK);
    const char *turned[] = {
        test_put_text("turns.jsonl", "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}\n")};
    refuse(options_of_chat(turned, options.encode.chat), "turns.jsonl:1: message 1 is of \"assistant\"");
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
    weft_tokenize_options options = options_of(inputs, 1, "pack");
    options.pack = T;
    weft_tokenize_totals totals = run(options);
    size_t count = read_tokens("pack", tokens, MOST);
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
        refuse(options_of(inputs, 1, "refused"), cases[i].words);
        assert_false(weft_path_exists(test_path("refused.idx")));
        assert_false(weft_path_exists(test_path("refused.bin")));
        assert_false(weft_path_exists(test_path("refused.bin.part")));
    }
    const char *missing[] = {test_path("missing")};
    refuse(options_of(missing, 1, "refused"), "missing");
}

static int set_up(void **state)
{
    if (test_make_root(state) != 0) return -1;
    make_tokenizer();
    return 0;
}

static int tear_down(void **state)
{
    weft_tokenizer_destroy(tokenizer);
    return test_remove_root(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_other_command),
        cmocka_unit_test(test_anew_and_back),
        cmocka_unit_test(test_ended_between_names),
        cmocka_unit_test(test_packed_and_stopped),
        cmocka_unit_test(test_fill_in_the_middle),
        cmocka_unit_test(test_chat),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_anew),
        cmocka_unit_test(test_packed_resumed),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_two_runs),
        cmocka_unit_test(test_begin),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
