/* Megatron data sets: types, prefixes, folders, documents, masks, and indexes that are wrong. */
#include "fixture.h"

#include "data/mask.h"
#include "data/megatron.h"

#include <float.h>
#include <math.h>

enum { MOST = 4096, T = 8 };

static unsigned char image[34 + 20 * MOST + 8];

static void put_little(unsigned char *at, uint64_t number, int width)
{
    for (int i = 0; i < width; i++) at[i] = (unsigned char)(number >> 8 * i);
}

/* Sequences of these lengths; documents begin with these sequences, the last entry is the end. */
static size_t make_index(int code, int width, const uint32_t *lengths, size_t sequences, const uint32_t *documents,
                         size_t entries)
{
    uint64_t at = 0;
    memcpy(image, "MMIDIDX\0", 9);
    put_little(image + 9, 1, 8);
    image[17] = (unsigned char)code;
    put_little(image + 18, sequences, 8);
    put_little(image + 26, entries, 8);
    for (size_t i = 0; i < sequences; i++) {
        put_little(image + 34 + 4 * i, lengths[i], 4);
        put_little(image + 34 + 4 * sequences + 8 * i, at, 8);
        at += lengths[i] * (uint64_t)width;
    }
    for (size_t i = 0; i < entries; i++) put_little(image + 34 + 12 * sequences + 8 * i, documents[i], 8);
    return 34 + 12 * sequences + 8 * entries;
}

static const char *put_floats(const char *name, const uint32_t *numbers, size_t count, int width)
{
    unsigned char bytes[8 * 64];
    for (size_t i = 0; i < count; i++) {
        double wide = numbers[i];
        float narrow = (float)wide;
        memcpy(bytes + i * (size_t)width, width == 4 ? (void *)&narrow : (void *)&wide, (size_t)width);
    }
    return test_put(name, bytes, count * (size_t)width);
}

static void read_rows(const weft_data *data, int64_t first, int64_t count, weft_data_rows rows)
{
    weft_error error;
    if (weft_data_read(data, WEFT_DATA_TRAIN, first, count, rows, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static const uint32_t lengths[] = {3, 0, 5, 1, 8, 16}, documents[] = {0, 1, 3, 3, 5, 6};
enum { TOKENS = 33, SEQUENCES = 6, ENTRIES = 6 };

/* The same tokens by every type, by the prefix, by either file and by the folder. */
static void test_types(void **state)
{
    (void)state;
    static const struct {
        int code, width;
        bool real;
    } types[] = {{1, 1, false}, {2, 1, false}, {3, 2, false}, {4, 4, false},
                 {5, 8, false}, {6, 8, true},  {7, 4, true},  {8, 2, false}};
    uint32_t numbers[TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++) numbers[i] = 1 + i * 3 % 127;
    test_make_folder("types");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t bytes = make_index(types[i].code, types[i].width, lengths, SEQUENCES, documents, ENTRIES);
        test_put("types/x_text_document.idx", image, bytes);
        if (types[i].real)
            put_floats("types/x_text_document.bin", numbers, TOKENS, types[i].width);
        else
            test_put_numbers("types/x_text_document.bin", numbers, TOKENS, types[i].width, false);
        static const char *const names[] = {"types/x_text_document", "types/x_text_document.bin",
                                            "types/x_text_document.idx", "types"};
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            int32_t tokens[TOKENS - 1], targets[TOKENS - 1];
            weft_data_options options = test_options(test_path(names[k]), TOKENS - 1, 0);
            options.format = k % 2 ? WEFT_CONFIG_MEGATRON : WEFT_CONFIG_AUTO;
            weft_data *data = test_open(options);
            read_rows(data, 0, 1, (weft_data_rows){.tokens = tokens, .targets = targets});
            for (int t = 0; t < TOKENS - 1; t++) {
                assert_int_equal(tokens[t], numbers[t]);
                assert_int_equal(targets[t], numbers[t + 1]);
            }
            assert_string_equal(test_notes(data), "");
            weft_data_close(data);
        }
    }
}

/* What is below zero, no whole number or not below the vocabulary is found, with its byte. */
static void test_no_tokens(void **state)
{
    (void)state;
    static const struct {
        int code, width;
        double number;
        const char *words;
    } cases[] = {
        {2, 1, -1, "-1 at byte 5 is no token"},
        {3, 2, -7, "-7 at byte 10 is no token"},
        {4, 4, -100, "-100 at byte 20 is no token"},
        {5, 8, 4294967297.0, "token 4294967297 at byte 40 is outside"},
        {5, 8, -2, "-2 at byte 40 is no token"},
        {6, 8, 1.5, "1.5 at byte 40 is no token"},
        {7, 4, (double)FLT_MAX, "at byte 20 is outside"},
        {8, 2, 300, "token 300 at byte 10 is outside the model's vocabulary of 256"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[8 * TOKENS] = {0}, *at = bytes + 5 * cases[i].width;
        float narrow = (float)cases[i].number;
        if (cases[i].code == 6)
            memcpy(at, &cases[i].number, 8);
        else if (cases[i].code == 7)
            memcpy(at, &narrow, 4);
        else
            put_little(at, (uint64_t)(int64_t)cases[i].number, cases[i].width);
        test_put("no.bin", bytes, (size_t)cases[i].width * TOKENS);
        test_put("no.idx", image, make_index(cases[i].code, cases[i].width, lengths, SEQUENCES, documents, ENTRIES));
        weft_data_options options = test_options(test_path("no"), T, 0);
        options.vocabulary = 256;
        test_refuse(options, cases[i].words);
    }
}

/* What an index can say wrong. */
static void test_wrong_indexes(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        int width;
        uint64_t number;
        const char *words;
    } cases[] = {
        {9, 8, 7, "none of Megatron's version 1"},
        {17, 1, 9, "none of Megatron's version 1"},
        {18, 8, 7, "bytes, where its numbers of sequences and documents make"},
        {18, 8, UINT64_MAX, "truncated"},
        {26, 8, 0, "truncated"},
        {26, 8, UINT64_MAX / 8, "truncated"},
        {34, 4, 4, "sequence 1 begins at byte 6 of the tokens, the one before it ends at 8"},
        {34, 4, 0x80000000, "sequence 0 has a negative length"},
        {34 + 24 + 16, 8, 7, "sequence 2 begins at byte 7"},
        {34 + 24 + 40, 8, 1 << 20, "sequence 5 begins at byte 1048576"},
        {34 + 20, 4, 17, "68 bytes of tokens, but the .bin beside it has 66"},
        {34 + 72, 8, 1, "document 0 begins with sequence 1"},
        {34 + 72 + 8, 8, 9, "document 1 begins with sequence 9"},
        {34 + 72 + 24, 8, 2, "document 3 begins with sequence 2 of 6, behind one that begins with 3"},
        {34 + 72 + 40, 8, 5, "document 5 begins with sequence 5"},
    };
    uint32_t numbers[TOKENS] = {0};
    test_put_numbers("wrong.bin", numbers, TOKENS, 2, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bytes = make_index(8, 2, lengths, SEQUENCES, documents, ENTRIES);
        put_little(image + cases[i].at, cases[i].number, cases[i].width);
        test_put("wrong.idx", image, bytes);
        weft_data_options options = test_options(test_path("wrong"), T, 0);
        options.format = WEFT_CONFIG_MEGATRON;
        test_refuse(options, cases[i].words);
    }
    for (size_t bytes = 9; bytes < 34 + 12 * SEQUENCES + 8 * ENTRIES; bytes++) {
        make_index(8, 2, lengths, SEQUENCES, documents, ENTRIES);
        test_put("wrong.idx", image, bytes);
        test_refuse(test_options(test_path("wrong"), T, 0), "wrong.");
    }
}

/* Where each token's document begins, worked out by counting. */
static void expect_rows(const uint32_t *document_of, const int32_t *stream, int64_t blocks, const int32_t *tokens,
                        const int32_t *targets, const int32_t *begins)
{
    for (int64_t block = 0; block < blocks; block++) {
        int32_t begin = 0;
        for (int64_t t = 0; t < T; t++) {
            int64_t token = block * T + t;
            if (t > 0 && document_of[token] != document_of[token - 1]) begin = (int32_t)t;
            bool across = document_of[token + 1] != document_of[token];
            assert_int_equal(tokens[block * T + t], stream[token]);
            assert_int_equal(begins[block * T + t], begin);
            assert_int_equal(targets[block * T + t], across ? -1 : stream[token + 1]);
        }
    }
}

/* Blocks in the order of the stream: all of it is another run's held-out part. */
static void read_all(weft_data_options options, int64_t blocks, int32_t *tokens, int32_t *targets, int32_t *begins)
{
    weft_error error;
    options.held_out_path = options.path;
    weft_data *data = test_open(options);
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_HELD_OUT), blocks);
    weft_data_rows rows = {tokens, targets, begins};
    assert_int_equal(weft_data_read(data, WEFT_DATA_HELD_OUT, 0, blocks, rows, &error), WEFT_OK);
    weft_data_close(data);
}

/* Of an index with runs of sequences and empty documents. */
static void test_documents(void **state)
{
    (void)state;
    int32_t stream[TOKENS], tokens[TOKENS], targets[TOKENS], begins[TOKENS];
    uint32_t numbers[TOKENS], document_of[TOKENS], token = 0;
    for (uint32_t d = 0; d + 1 < ENTRIES; d++)
        for (uint32_t s = documents[d]; s < documents[d + 1]; s++)
            for (uint32_t k = 0; k < lengths[s]; k++) document_of[token++] = d;
    for (uint32_t i = 0; i < TOKENS; i++) stream[i] = (int32_t)(numbers[i] = 7 + i);
    test_put_numbers("documents.bin", numbers, TOKENS, 4, false);
    test_put("documents.idx", image, make_index(4, 4, lengths, SEQUENCES, documents, ENTRIES));
    weft_data_options options = test_options(test_path("documents"), T, 0);
    options.documents = true;
    options.end_of_text = -1;
    read_all(options, 4, tokens, targets, begins);
    expect_rows(document_of, stream, 4, tokens, targets, begins);
    options.documents = false;
    read_all(options, 4, tokens, targets, begins);
    for (int i = 0; i < 4 * T; i++) {
        assert_int_equal(targets[i], stream[i + 1]);
        assert_int_equal(begins[i], 0);
    }
}

/* Of files of a folder, and of a token that ends one. */
static void test_files_and_ends(void **state)
{
    (void)state;
    static const char *const texts[] = {"abc", "", "defg.hij", "k", "l..mnopqrstuvwxyzabcdefgh"};
    int32_t stream[64], tokens[64], targets[64], begins[64];
    uint32_t document_of[64], document = 0;
    int32_t count = 0;
    test_make_folder("files");
    for (int i = 0; i < 5; i++) {
        char name[] = "files/0";
        name[6] = (char)('0' + i);
        test_put_text(name, texts[i]);
        for (const char *c = texts[i]; *c; c++, count++) {
            stream[count] = *c;
            document_of[count] = document;
            document += *c == '.';
        }
        document++;
    }
    weft_data_options options = test_options(test_path("files"), T, 0);
    options.documents = true;
    options.end_of_text = '.';
    read_all(options, (count - 1) / T, tokens, targets, begins);
    expect_rows(document_of, stream, (count - 1) / T, tokens, targets, begins);
}

static uint64_t known_by(const char *path)
{
    weft_data *data = test_open(test_options(path, T, 0));
    uint64_t fingerprint = weft_data_fingerprint(data);
    weft_data_close(data);
    return fingerprint;
}

/* Other documents or another mask are other data, though the tokens are the same. */
static void test_known_by_all(void **state)
{
    (void)state;
    static const uint32_t others[] = {0, 1, 2, 3, 5, 6};
    uint32_t numbers[TOKENS] = {0};
    unsigned char mask[WEFT_MASK_HEAD + (TOKENS + 7) / 8] = {0};
    test_make_folder("known");
    test_put_numbers("known/a.bin", numbers, TOKENS, 4, false);
    test_put("known/a.idx", image, make_index(4, 4, lengths, SEQUENCES, documents, ENTRIES));
    uint64_t first = known_by(test_path("known"));
    test_put("known/a.idx", image, make_index(4, 4, lengths, SEQUENCES, others, ENTRIES));
    uint64_t second = known_by(test_path("known"));
    assert_int_not_equal(second, first);
    weft_mask_head(TOKENS, mask);
    test_put("known/a.mask", mask, sizeof mask);
    uint64_t third = known_by(test_path("known"));
    assert_int_not_equal(third, second);
    mask[sizeof mask - 1] = 1;
    test_put("known/a.mask", mask, sizeof mask);
    assert_int_not_equal(known_by(test_path("known")), third);
}

/* A mask beside tokens takes targets away; one of other tokens is refused. */
static void test_mask(void **state)
{
    (void)state;
    unsigned char mask[WEFT_MASK_HEAD + (TOKENS + 7) / 8] = {0};
    int32_t tokens[TOKENS], targets[TOKENS], begins[TOKENS];
    uint32_t numbers[TOKENS];
    weft_mask_head(TOKENS, mask);
    for (uint32_t i = 0; i < TOKENS; i++) {
        numbers[i] = 7 + i;
        if (i % 3 != 1) mask[WEFT_MASK_HEAD + i / 8] |= (unsigned char)(1U << i % 8);
    }
    test_make_folder("mask");
    test_put_numbers("mask/a.bin", numbers, TOKENS, 4, false);
    test_put("mask/a.idx", image, make_index(4, 4, lengths, SEQUENCES, documents, ENTRIES));
    test_put("mask/a.mask", mask, sizeof mask);
    static const char *const names[] = {"mask/a", "mask"};
    for (int k = 0; k < 2; k++) {
        read_all(test_options(test_path(names[k]), T, 0), 4, tokens, targets, begins);
        for (int i = 0; i < 4 * T; i++) assert_int_equal(targets[i], (i + 1) % 3 != 1 ? 7 + i + 1 : -1);
    }
    mask[8]++;
    test_put("mask/a.mask", mask, sizeof mask);
    test_refuse(test_options(test_path("mask/a"), T, 0), "a.mask: not of the 33 tokens of the .bin beside it");
    test_put("mask/a.mask", mask, 5);
    test_refuse(test_options(test_path("mask/a"), T, 0), "a.mask: not a mask of tokens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),          cmocka_unit_test(test_no_tokens),
        cmocka_unit_test(test_wrong_indexes),  cmocka_unit_test(test_documents),
        cmocka_unit_test(test_files_and_ends), cmocka_unit_test(test_mask),
        cmocka_unit_test(test_known_by_all),
    };
    return cmocka_run_group_tests(tests, test_make_root, test_remove_root);
}
