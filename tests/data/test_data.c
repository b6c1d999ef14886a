#include "fixture.h"

#include "base/random.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* A stream of the numbers 0, 1, 2, ... in which a block's first token tells where the block lies. */
static const char *put_numbers16(const char *name, int from, int count)
{
    uint32_t *numbers = calloc((size_t)count, sizeof *numbers);
    assert_non_null(numbers);
    for (int i = 0; i < count; i++) numbers[i] = (uint32_t)(from + i);
    const char *path = test_put_numbers(name, numbers, (size_t)count, 2, false);
    free(numbers);
    return path;
}

static void store32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(value >> 8 * i);
}

enum { HEADER = 1024 };

static const char *put_llmc(const char *name, uint32_t magic, uint32_t version, uint32_t stated, int from, int count,
                            int width)
{
    size_t size = HEADER + (size_t)count * (size_t)width;
    unsigned char *bytes = calloc(1, size);
    assert_non_null(bytes);
    store32(bytes, magic);
    store32(bytes + 4, version);
    store32(bytes + 8, stated);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < width; k++) bytes[HEADER + i * width + k] = (unsigned char)((from + i) >> 8 * k);
    const char *path = test_put(name, bytes, size);
    free(bytes);
    return path;
}

static void read_part(const weft_data *data, weft_data_part part, int64_t first, int64_t count, int32_t *tokens,
                      int32_t *targets)
{
    weft_error error;
    weft_error_clear(&error);
    if (weft_data_read(data, part, first, count, (weft_data_rows){.tokens = tokens, .targets = targets}, &error) !=
        WEFT_OK)
        fail_msg("%s", error.text);
}

static void test_exact_contents(void **state)
{
    (void)state;
    weft_data *data = test_open(test_options(test_put("text.txt", "In the beginning", 16), 3, 0.2));
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_TRAIN), 4);
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_HELD_OUT), 1);
    assert_int_equal(weft_data_bytes_per_token(data), 1);
    int32_t tokens[6], targets[6];
    read_part(data, WEFT_DATA_HELD_OUT, 0, 2, tokens, targets);
    const char *last = "ning"; /* the fifth block: bytes 12 .. 15 */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tokens[i], last[i]);
        assert_int_equal(targets[i], last[i + 1]);
        assert_int_equal(targets[3 + i], -1); /* beyond the last block */
        assert_int_equal(tokens[3 + i], 0);
    }
    weft_data_close(data);
}

static void test_bytes_are_unsigned(void **state)
{
    (void)state;
    weft_data *data = test_open(test_options(test_put("high.txt", "\xff\x80\x00\xfe", 4), 3, 0));
    int32_t tokens[3], targets[3];
    read_part(data, WEFT_DATA_TRAIN, 0, 1, tokens, targets);
    assert_int_equal(tokens[0], 255);
    assert_int_equal(tokens[1], 128);
    assert_int_equal(tokens[2], 0);
    assert_int_equal(targets[2], 254);
    weft_data_close(data);
}

/* Any split: every epoch reads every training block once, held-out blocks are the others, in order and evenly spread.
 */
static void check_split(int numbers, int64_t length, double share)
{
    weft_data *data = test_open(test_options(put_numbers16("split.bin", 0, numbers), length, share));
    int64_t blocks = (numbers - 1) / length, train = weft_data_blocks(data, WEFT_DATA_TRAIN),
            held = weft_data_blocks(data, WEFT_DATA_HELD_OUT);
    assert_int_equal(train + held, blocks);
    assert_int_equal(held, (int64_t)floor((double)blocks * share + 1e-6));
    int32_t *tokens = calloc((size_t)length, 2 * sizeof *tokens), *targets = tokens + length;
    char *seen = calloc((size_t)blocks, 1);
    int64_t previous = -1;
    for (int64_t i = 0; i < held; i++) {
        read_part(data, WEFT_DATA_HELD_OUT, i, 1, tokens, targets);
        int64_t block = tokens[0] / length, even = (int64_t)((double)(i + 1) / share) - 1;
        assert_true(block > previous && block <= even + 1 && block >= even - 1);
        previous = block;
        seen[block] = 9;
    }
    for (int64_t i = 0; i < 3 * train; i++) {
        read_part(data, WEFT_DATA_TRAIN, i, 1, tokens, targets);
        assert_int_equal(tokens[0] % length, 0);
        assert_int_equal(seen[tokens[0] / length]++, i / train);
        for (int64_t k = 0; k < length; k++) {
            assert_int_equal(tokens[k], tokens[0] + k);
            assert_int_equal(targets[k], tokens[0] + k + 1);
        }
    }
    for (int64_t i = 0; i < blocks; i++) assert_true(seen[i] == 9 || seen[i] == 3);
    free(seen);
    free(tokens);
    weft_data_close(data);
}

static void test_split_and_epochs(void **state)
{
    (void)state;
    weft_random_key key = weft_random_key_make(3, "test");
    check_split(101, 1, 0.5);
    check_split(1001, 10, 0.99);
    check_split(1001, 10, 0.2);
    check_split(1000, 333, 0);
    for (uint64_t i = 0; i < 60; i++) {
        int numbers = 200 + (int)(weft_random_bits(key, 2 * i) % 3000);
        check_split(numbers, 1 + (int64_t)(i % 9), 0.05 + 0.9 * weft_random_uniform(key, 2 * i + 1));
    }
}

static void test_order_depends_on_seed_and_epoch_alone(void **state)
{
    (void)state;
    enum { BLOCKS = 80, ALL = 3 * BLOCKS };
    const char *path = put_numbers16("order.bin", 0, BLOCKS * 2 + 1);
    weft_data_options options = test_options(path, 2, 0);
    weft_data *data = test_open(options), *again = test_open(options);
    options.seed = 6;
    weft_data *other = test_open(options);
    int32_t tokens[ALL * 2], targets[ALL * 2], part[ALL * 2], rest[ALL * 2];
    read_part(data, WEFT_DATA_TRAIN, 0, ALL, tokens, targets);
    assert_memory_not_equal(tokens, tokens + BLOCKS * 2, BLOCKS * 2 * sizeof *tokens);
    for (int64_t first = 0; first < ALL; first += 7) { /* resumed at any sequence: the same from there on */
        read_part(again, WEFT_DATA_TRAIN, first, ALL - first, part, rest);
        assert_memory_equal(part, tokens + first * 2, (size_t)(ALL - first) * 2 * sizeof *part);
        assert_memory_equal(rest, targets + first * 2, (size_t)(ALL - first) * 2 * sizeof *part);
    }
    read_part(other, WEFT_DATA_TRAIN, 0, ALL, part, rest);
    assert_memory_not_equal(part, tokens, sizeof part);
    weft_data_close(data);
    weft_data_close(again);
    weft_data_close(other);
}

static void test_folder_is_one_stream(void **state)
{
    (void)state;
    test_make_folder("book/b");
    test_make_folder("book/empty");
    test_put("book/c.txt", "GH", 2);
    test_put("book/a.txt", "ABC", 3);
    test_put("book/b/2", "F", 1);
    test_put("book/b/10", "DE", 2);
    test_put("book/b/11", "", 0);
    weft_data *data = test_open(test_options(test_path("book"), 7, 0));
    int32_t tokens[7], targets[7];
    read_part(data, WEFT_DATA_TRAIN, 0, 1, tokens, targets);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(tokens[i], 'A' + i);
        assert_int_equal(targets[i], 'B' + i);
    }
    weft_data_close(data);
    test_make_folder("none/below");
    test_refuse(test_options(test_path("none"), 4, 0), "no files in this folder");
}

static void test_shards(void **state)
{
    (void)state;
    test_make_folder("shards");
    put_llmc("shards/train_000.bin", 20240520, 1, 5, 0, 5, 2);
    put_llmc("shards/train_001.bin", 20240520, 1, 1, 5, 1, 2);
    put_llmc("shards/train_002.bin", 20240520, 1, 3, 6, 3, 2);
    weft_data *data = test_open(test_options(test_path("shards"), 8, 0));
    int32_t tokens[8], targets[8];
    read_part(data, WEFT_DATA_TRAIN, 0, 1, tokens, targets);
    for (int i = 0; i < 8; i++) assert_int_equal(tokens[i] + 1, targets[i]);
    assert_int_equal(tokens[0], 0);
    assert_int_equal(weft_data_bytes_per_token(data), 0);
    weft_data_close(data);
    test_put("shards/readme.txt", "hello", 5);
    test_refuse(test_options(test_path("shards"), 8, 0), "train_000.bin: is llm.c tokens (uint16), but ");
}

static void test_wide_tokens(void **state)
{
    (void)state;
    weft_data *data = test_open(test_options(put_llmc("wide.bin", 20240801, 7, 3, 127998, 3, 4), 2, 0));
    int32_t tokens[2], targets[2];
    read_part(data, WEFT_DATA_TRAIN, 0, 1, tokens, targets);
    assert_int_equal(tokens[0], 127998);
    assert_int_equal(targets[1], 128000);
    weft_data_close(data);
}

static void test_held_out_file(void **state)
{
    (void)state;
    weft_data_options options = test_options(test_put("train.txt", "abcdefghi", 9), 2, 0.3);
    options.held_out_path = test_put("held.txt", "vwxyz", 5);
    weft_data *data = test_open(options);
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_TRAIN), 4);
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_HELD_OUT), 2);
    int32_t tokens[4], targets[4];
    read_part(data, WEFT_DATA_HELD_OUT, 0, 2, tokens, targets);
    for (int i = 0; i < 4; i++) assert_int_equal(tokens[i], 'v' + i);
    uint64_t with = weft_data_fingerprint(data);
    weft_data_close(data);
    options.held_out_path = "";
    data = test_open(options);
    assert_int_not_equal(with, weft_data_fingerprint(data));
    weft_data_close(data);
    options.held_out_path = test_put("held-short.txt", "v", 1);
    test_refuse(options, "held-short.txt: 1 token is too few: a block needs 3");
    options.held_out_path = put_numbers16("held.bin", 0, 20);
    test_refuse(options, "one is text");
    options.held_out_path = test_path("held-missing.txt");
    test_refuse(options, "held-missing.txt");
}

static uint64_t fingerprint_of(const char *name, const char *text)
{
    weft_data *data = test_open(test_options(test_put(name, text, strlen(text)), 2, 0));
    uint64_t fingerprint = weft_data_fingerprint(data);
    weft_data_close(data);
    return fingerprint;
}

static void test_fingerprint(void **state)
{
    (void)state;
    uint64_t one = fingerprint_of("one.txt", "some words");
    assert_int_equal(one, fingerprint_of("two.txt", "some words")); /* moved, not changed */
    assert_int_not_equal(one, fingerprint_of("two.txt", "some wordz"));
    assert_int_not_equal(one, fingerprint_of("two.txt", "Some words"));
    assert_int_not_equal(one, fingerprint_of("two.txt", "some words "));
    assert_int_not_equal(one, fingerprint_of("two.bin", "some words")); /* the same bytes as uint16 */
}

static uint64_t hash_number(uint64_t number, uint64_t seed)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(number >> 8 * i);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, seed);
}

/* Checkpoints hold it: the formula of docs/data.md, over files shorter and longer than a page, and an empty one. */
static void test_fingerprint_formula(void **state)
{
    (void)state;
    enum { PAGE = 4096 };
    static const size_t sizes[] = {5000, 0, 100, PAGE, 3 * PAGE + 1};
    unsigned char bytes[4 * PAGE];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(32 + i % 95);
    test_make_folder("formula");
    uint64_t hash = hash_number(0, 0); /* text */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[32];
        snprintf(name, sizeof name, "formula/%zu", i);
        bytes[0] = (unsigned char)('A' + i);
        test_put(name, bytes, sizes[i]);
        size_t page = sizes[i] < PAGE ? sizes[i] : PAGE;
        if (page == 0) continue;
        hash = hash_number(sizes[i], hash);
        hash = XXH3_64bits_withSeed(bytes, page, hash);
        hash = XXH3_64bits_withSeed(bytes + sizes[i] - page, page, hash);
    }
    weft_data_options options = test_options(test_path("formula"), 8, 0);
    weft_data *data = test_open(options);
    assert_int_equal(weft_data_fingerprint(data), hash);
    weft_data_close(data);
    static const char tokens[] = "\x20\1\x21\2\x22\3";
    options.path = options.held_out_path = test_put("formula.bin", tokens, 6);
    options.tokens = 2;
    hash = 0;
    for (int part = 0; part < 2; part++) {
        hash = hash_number(6, hash_number(1, hash)); /* uint16 */
        hash = XXH3_64bits_withSeed(tokens, 6, hash);
        hash = XXH3_64bits_withSeed(tokens, 6, hash);
    }
    data = test_open(options);
    assert_int_equal(weft_data_fingerprint(data), hash);
    weft_data_close(data);
}

static void test_malformed_files(void **state)
{
    (void)state;
    test_refuse(test_options(test_path("missing.txt"), 4, 0), "missing.txt: no such file or folder");
    test_refuse(test_options("", 4, 0), "data.path");
    test_refuse(test_options("/dev/null", 4, 0), "/dev/null");
    test_refuse(test_options(test_put("empty.txt", "", 0), 4, 0), "empty.txt: is empty");
    test_refuse(test_options(test_put("empty.bin", "", 0), 4, 0), "empty.bin: is empty");
    test_refuse(test_options(test_put("short.txt", "abcd", 4), 4, 0),
                "short.txt: 4 tokens are too few: a block needs 5");
    test_refuse(test_options(test_put("few.txt", "abcdefghijk", 11), 5, 0.3), "a share of 0.3");
    test_refuse(test_options(test_put("odd.bin", "abcdefg", 7), 2, 0), "odd.bin: truncated at byte 7");
    test_refuse(test_options(put_llmc("cut.bin", 20240520, 1, 9, 0, 8, 2), 2, 0),
                "cut.bin: truncated at byte 1040: 1042 bytes expected");
    test_refuse(test_options(put_llmc("cut4.bin", 20240801, 7, 9, 0, 8, 4), 2, 0),
                "truncated at byte 1056: 1060 bytes expected");
    test_refuse(test_options(put_llmc("long.bin", 20240520, 1, 7, 0, 8, 2), 2, 0),
                "unexpected bytes from byte 1038 to 1040");
    test_refuse(test_options(put_llmc("all.bin", 20240520, 1, UINT32_MAX, 0, 8, 2), 2, 0),
                "truncated at byte 1040: 8589935614 bytes");
    test_refuse(test_options(put_llmc("version.bin", 20240520, 2, 8, 0, 8, 2), 2, 0),
                "version 2 of llm.c tokens (uint16) at byte 4");
    test_refuse(test_options(put_llmc("none.bin", 20240520, 1, 0, 0, 0, 2), 2, 0), "none.bin: is empty");
    test_refuse(test_options(put_llmc("model.bin", 20240326, 3, 8, 0, 8, 2), 2, 0), "is an llm.c model");
    unsigned char head[8] = {0};
    store32(head, 20240520);
    test_refuse(test_options(test_put("head.bin", head, 8), 2, 0), "truncated at byte 8: the header");
    weft_data_options options = test_options(test_put("plain.txt", "no header at all", 16), 2, 0);
    options.format = WEFT_CONFIG_LLMC;
    test_refuse(options, "at byte 0");
    options.path = test_put("three", "abc", 3);
    test_refuse(options, "truncated at byte 3");
}

static void test_bad_options(void **state)
{
    (void)state;
    const char *path = test_put("fine.txt", "fine enough", 11);
    test_refuse(test_options(path, 0, 0), "at least one token");
    test_refuse(test_options(path, INT64_MAX, 0), "too few");
    test_refuse(test_options(path, 2, 1), "data.held_out");
    test_refuse(test_options(path, 2, -0.1), "data.held_out");
    test_refuse(test_options(path, 2, (double)NAN), "data.held_out");
    weft_data_options options = test_options(path, 2, 0);
    options.vocabulary = 0;
    test_refuse(options, "vocabulary");
}

static void test_explicit_format_wins(void **state)
{
    (void)state;
    weft_data_options options = test_options(test_put("words.bin", "abcdef", 6), 2, 0);
    options.format = WEFT_CONFIG_TEXT;
    weft_data *data = test_open(options);
    assert_int_equal(weft_data_bytes_per_token(data), 1);
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_TRAIN), 2);
    weft_data_close(data);
    options.format = WEFT_CONFIG_NANOGPT;
    data = test_open(options);
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_TRAIN), 1);
    weft_data_close(data);
}

static void refuses_token(const char *path, int64_t vocabulary, const char *words)
{
    weft_data_options options = test_options(path, 4, 0);
    options.vocabulary = vocabulary;
    test_refuse(options, words);
}

static void test_token_outside_the_vocabulary(void **state)
{
    (void)state;
    refuses_token(put_numbers16("vocabulary.bin", 300, 5), 303, "vocabulary.bin: token 303 at byte 6 is outside");
    refuses_token(put_llmc("header.bin", 20240520, 1, 5, 300, 5, 2), 304, "token 304 at byte 1032");
    refuses_token(put_llmc("sign.bin", 20240801, 7, 5, -2, 5, 4), INT64_MAX, "token 4294967294 at byte 1024");
    refuses_token(test_put("ascii.txt", "abc\xc3\xa9", 5), 128,
                  "token 195 at byte 3 is outside the model's vocabulary of 128");
    weft_data_options options = test_options(test_put("small.txt", "aaaaa", 5), 4, 0);
    options.vocabulary = 'a' + 1; /* all that the bytes need */
    options.held_out_path = test_put("small-held.txt", "aaaaaab", 7);
    test_refuse(options, "small-held.txt: token 98 at byte 6 is outside the model's vocabulary of 98");
    options.held_out_path = "";
    weft_data *data = test_open(options);
    int32_t tokens[4], targets[4];
    read_part(data, WEFT_DATA_TRAIN, 0, 1, tokens, targets);
    weft_error error;
    assert_int_equal(
        weft_data_read(data, WEFT_DATA_TRAIN, -1, 1, (weft_data_rows){.tokens = tokens, .targets = targets}, &error),
        WEFT_INVALID);
    weft_data_close(data);
}

/* What blocks do not reach is checked too, and read pieces end where buffers do. */
static void test_last_token_is_checked(void **state)
{
    (void)state;
    enum { COUNT = 150000, VOCABULARY = 1000 };
    uint32_t *numbers = calloc(COUNT, sizeof *numbers);
    assert_non_null(numbers);
    weft_random_key key = weft_random_key_make(8, "last");
    for (size_t i = 0; i < COUNT; i++) numbers[i] = (uint32_t)(weft_random_bits(key, i) % VOCABULARY);
    for (int width = 2; width <= 4; width += 2) {
        for (uint64_t i = 0; i < 8; i++) {
            size_t bad = i == 0 ? COUNT - 1 : (size_t)(weft_random_bits(key, COUNT + i) % COUNT);
            uint32_t good = numbers[bad];
            char words[128];
            numbers[bad] = VOCABULARY;
            weft_data_options options =
                test_options(test_put_numbers("spoilt.bin", numbers, COUNT, width, false), 7, 0);
            options.format = width == 2 ? WEFT_CONFIG_NANOGPT : WEFT_CONFIG_UINT32;
            options.vocabulary = VOCABULARY;
            snprintf(words, sizeof words, "token 1000 at byte %zu is outside", bad * (size_t)width);
            test_refuse(options, words);
            numbers[bad] = good;
        }
    }
    free(numbers);
}

/* The same tokens in files of every width are the same blocks, also where a block is longer than any buffer. */
static void test_widths_agree(void **state)
{
    (void)state;
    enum { COUNT = 70000, T = 30000 };
    uint32_t *numbers = calloc(COUNT, sizeof *numbers);
    int32_t *tokens = calloc(2 * T, sizeof *tokens);
    assert_non_null(numbers);
    assert_non_null(tokens);
    for (int width = 1; width <= 4; width *= 2) {
        weft_random_key key = weft_random_key_make(8, "widths");
        for (size_t i = 0; i < COUNT; i++) numbers[i] = 32 + (uint32_t)(weft_random_bits(key, i) % 95);
        weft_data_options options = test_options(test_put_numbers("width", numbers, COUNT, width, false), T, 0);
        options.format = width == 1 ? WEFT_CONFIG_TEXT : width == 2 ? WEFT_CONFIG_NANOGPT : WEFT_CONFIG_UINT32;
        weft_data *data = test_open(options);
        for (int64_t i = 0; i < 2; i++) {
            read_part(data, WEFT_DATA_TRAIN, i, 1, tokens, tokens + T);
            for (int k = 0; k < T - 1; k++) assert_int_equal(tokens[k + 1], tokens[T + k]);
            size_t block = (uint32_t)tokens[0] == numbers[0] && (uint32_t)tokens[1] == numbers[1] ? 0 : T;
            for (int k = 0; k < T; k++) assert_int_equal(tokens[k], numbers[block + (size_t)k]);
            assert_int_equal(tokens[2 * T - 1], numbers[block + T]);
        }
        weft_data_close(data);
    }
    free(numbers);
    free(tokens);
}

/* Tokens beyond 4 GiB of a sparse file: 32-bit offsets anywhere would read elsewhere. */
static void test_large_offsets(void **state)
{
    (void)state;
    const int64_t tokens_in_file = (INT64_C(5) << 30) / 2;
    const char *path = test_put("large.bin", "", 0);
    if (truncate(path, tokens_in_file * 2) != 0) {
        unlink(path);
        skip(); /* no sparse files here */
    }
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseeko(file, tokens_in_file * 2 - 4, SEEK_SET), 0);
    assert_int_equal(fwrite("\x11\x22\x33\x44", 1, 4, file), 4);
    fclose(file);
    weft_data_options options = test_options(path, 1, 1 - 0x1p-31);
    weft_data *data = test_open(options);
    int32_t token, target;
    read_part(data, WEFT_DATA_HELD_OUT, weft_data_blocks(data, WEFT_DATA_HELD_OUT) - 1, 1, &token, &target);
    assert_int_equal(token, 0x2211);
    assert_int_equal(target, 0x4433);
    weft_data_close(data);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_contents),        cmocka_unit_test(test_bytes_are_unsigned),
        cmocka_unit_test(test_split_and_epochs),      cmocka_unit_test(test_order_depends_on_seed_and_epoch_alone),
        cmocka_unit_test(test_folder_is_one_stream),  cmocka_unit_test(test_shards),
        cmocka_unit_test(test_wide_tokens),           cmocka_unit_test(test_held_out_file),
        cmocka_unit_test(test_fingerprint),           cmocka_unit_test(test_fingerprint_formula),
        cmocka_unit_test(test_malformed_files),       cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_explicit_format_wins),  cmocka_unit_test(test_token_outside_the_vocabulary),
        cmocka_unit_test(test_last_token_is_checked), cmocka_unit_test(test_widths_agree),
        cmocka_unit_test(test_large_offsets),
    };
    return cmocka_run_group_tests(tests, test_make_root, test_remove_root);
}
