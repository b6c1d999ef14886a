/*
 * GGUF files: what is written is read again; blocks against a decoder that follows the format's description; what is
 * cut, lies about its size or is of no known kind is refused in one line.
 */
#include "base/random.h"
#include "tensor/element.h"
#include "tensor/gguf_write.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/weft-gguf-XXXXXX";
static char path[64];

enum { ROWS = 3, COLUMNS = 64, ELEMENTS = ROWS * COLUMNS };

/* Numbers of many sizes, with zeros and a whole block of them. */
static void fill(float *out, int count)
{
    weft_random_key key = weft_random_key_make(7, "gguf");
    for (int i = 0; i < count; i++)
        out[i] = i % 11 == 0 || (i >= 64 && i < 96) ? 0
                                                    : (float)ldexp(weft_random_normal(key, (uint64_t)i),
                                                                   (int)(weft_random_bits(key, 999 + (uint64_t)i) % 9));
}

typedef struct data {
    const void *bytes[8];
} data;

/* At most 100 bytes at once. */
static weft_status give(void *context, size_t tensor, size_t from, size_t left, const void **out, size_t *out_count,
                        weft_error *error)
{
    const data *it = context;
    (void)error;
    *out = (const char *)it->bytes[tensor] + from;
    *out_count = left < 100 ? left : 100;
    return WEFT_OK;
}

static void write_list(const weft_gguf_list *list, const size_t *sizes, data *it)
{
    const weft_gguf_source source = {it, give};
    weft_error error;
    if (weft_gguf_write(list, sizes, &source, path, &error) != WEFT_OK) fail_msg("%s", error.text);
}

/* Keys of every kind that is written, and a tensor of each type. */
static void write_sample(unsigned char stored[][ELEMENTS * 4], const float *values)
{
    static const weft_gguf_type types[] = {WEFT_GGUF_F32, WEFT_GGUF_F16, WEFT_GGUF_BF16, WEFT_GGUF_Q8_0};
    const int64_t shape[] = {ROWS, COLUMNS};
    size_t sizes[4];
    data it = {{NULL}};
    weft_gguf_list list;
    weft_gguf_list_init(&list);
    weft_gguf_put_string(&list, "general.architecture", "llama");
    weft_gguf_put_whole(&list, "a.whole", 4000000000u);
    weft_gguf_put_number(&list, "a.number", 0.1);
    weft_gguf_put_truth(&list, "a.truth", true);
    weft_gguf_put_array(&list, "a.texts", WEFT_GGUF_STRING, 2);
    weft_gguf_add_string(&list, "x\0y", 3);
    weft_gguf_add_string(&list, "", 0);
    weft_gguf_put_array(&list, "a.wholes", WEFT_GGUF_INT32, 2);
    weft_gguf_add_whole(&list, -5);
    weft_gguf_add_whole(&list, 6);
    weft_gguf_put_array(&list, "a.numbers", WEFT_GGUF_FLOAT32, 1);
    weft_gguf_add_number(&list, 1.5f);
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        weft_gguf_from_float(types[i], values, ELEMENTS, stored[i]);
        it.bytes[i] = stored[i];
        sizes[i] = weft_gguf_put_tensor(&list, name, types[i], 2, shape);
        assert_int_equal(sizes[i], weft_gguf_type_bytes(types[i], ELEMENTS));
    }
    write_list(&list, sizes, &it);
    weft_gguf_list_fini(&list);
}

static weft_gguf *open_file(void)
{
    weft_gguf *file = NULL;
    weft_error error;
    if (weft_gguf_open(path, &file, &error) != WEFT_OK) fail_msg("%s", error.text);
    return file;
}

static void test_values(void **state)
{
    (void)state;
    static unsigned char stored[4][ELEMENTS * 4];
    float values[ELEMENTS];
    int64_t whole = 0;
    double number = 0;
    bool truth = false;
    weft_gguf_text text;
    weft_gguf_items items;
    weft_error error;
    fill(values, ELEMENTS);
    write_sample(stored, values);
    weft_gguf *file = open_file();
    assert_int_equal(weft_gguf_value_count(file), 7);
    assert_int_equal(weft_gguf_whole(file, weft_gguf_value_find(file, "a.whole"), &whole, &error), WEFT_OK);
    assert_int_equal(whole, 4000000000);
    assert_int_equal(weft_gguf_number(file, weft_gguf_value_find(file, "a.number"), &number, &error), WEFT_OK);
    assert_true((float)number == 0.1f);
    assert_int_equal(weft_gguf_truth(file, weft_gguf_value_find(file, "a.truth"), &truth, &error), WEFT_OK);
    assert_true(truth);
    assert_int_equal(weft_gguf_strings(file, weft_gguf_value_find(file, "a.texts"), &items, &error), WEFT_OK);
    text = weft_gguf_next_string(&items);
    assert_int_equal(text.length, 3);
    assert_memory_equal(text.bytes, "x\0y", 3);
    assert_int_equal(weft_gguf_next_string(&items).length, 0);
    assert_int_equal(weft_gguf_wholes(file, weft_gguf_value_find(file, "a.wholes"), &items, &error), WEFT_OK);
    assert_int_equal(weft_gguf_next_whole(&items), -5);
    assert_int_equal(weft_gguf_next_whole(&items), 6);
    assert_int_equal(weft_gguf_floats(file, weft_gguf_value_find(file, "a.numbers"), &items, &error), WEFT_OK);
    assert_true(weft_gguf_next_float(&items) == 1.5f);
    assert_null(weft_gguf_value_find(file, "a.other"));
    assert_int_equal(weft_gguf_whole(file, weft_gguf_value_find(file, "a.wholes"), &whole, &error), WEFT_INVALID);
    assert_non_null(strstr(error.text, "a.wholes: a whole number is expected here"));
    assert_int_equal(weft_gguf_strings(file, weft_gguf_value_find(file, "a.numbers"), &items, &error), WEFT_INVALID);
    assert_int_equal(weft_gguf_string(file, weft_gguf_value_find(file, "a.whole"), &text, &error), WEFT_INVALID);
    weft_gguf_close(file);
}

/* Any range of a tensor's elements is that of the whole. */
static void check_ranges(const weft_gguf_tensor *tensor, const float *whole, int64_t count)
{
    float part[ELEMENTS];
    for (int64_t from = 0; from < count; from += 7)
        for (int64_t length = 1; from + length <= count; length = length * 2 + 1) {
            weft_gguf_to_float(tensor, from, length, part);
            assert_memory_equal(part, whole + from, (size_t)length * sizeof *part);
        }
}

static void test_tensors(void **state)
{
    (void)state;
    static unsigned char stored[4][ELEMENTS * 4];
    float values[ELEMENTS], got[ELEMENTS];
    fill(values, ELEMENTS);
    write_sample(stored, values);
    weft_gguf *file = open_file();
    assert_int_equal(weft_gguf_count(file), 4);
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        const weft_gguf_tensor *tensor = weft_gguf_find(file, name);
        assert_non_null(tensor);
        assert_int_equal(tensor->dimensions, 2);
        assert_int_equal(tensor->shape[0], ROWS);
        assert_int_equal(tensor->shape[1], COLUMNS);
        assert_memory_equal(tensor->data, stored[i], tensor->bytes);
        weft_gguf_to_float(tensor, 0, ELEMENTS, got);
        for (int k = 0; k < ELEMENTS; k++) {
            float most = 0; /* half a step of the block, of a hundredth of the largest number */
            for (int b = k / 32 * 32; b < k / 32 * 32 + 32; b++) most = fmaxf(most, fabsf(values[b]));
            assert_true(fabsf(got[k] - values[k]) <= (i == 0 ? 0 : most / 128));
        }
        check_ranges(tensor, got, ELEMENTS);
    }
    weft_gguf_close(file);
}

/* The description's words, element by element: scale times what is stored, less 8, or on top of the least. */
static float expected(weft_gguf_type type, const unsigned char *block, int i)
{
    uint16_t scale, least = 0;
    memcpy(&scale, block, 2);
    if (type == WEFT_GGUF_Q4_1) memcpy(&least, block + 2, 2);
    if (type == WEFT_GGUF_Q8_0) return weft_fp16_to_float(scale) * (float)(signed char)block[2 + i];
    const unsigned char *quarters = block + (type == WEFT_GGUF_Q4_1 ? 4 : 2);
    int stored = i < 16 ? quarters[i] % 16 : quarters[i - 16] / 16;
    if (type == WEFT_GGUF_Q4_0) return weft_fp16_to_float(scale) * (float)(stored - 8);
    return weft_fp16_to_float(scale) * (float)stored + weft_fp16_to_float(least);
}

static void test_blocks(void **state)
{
    (void)state;
    weft_random_key key = weft_random_key_make(1, "blocks");
    static const weft_gguf_type types[] = {WEFT_GGUF_Q8_0, WEFT_GGUF_Q4_0, WEFT_GGUF_Q4_1};
    for (int t = 0; t < 3; t++) {
        unsigned char bytes[6 * 34];
        float got[6 * 32];
        size_t size = weft_gguf_type_bytes(types[t], 32);
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)weft_random_bits(key, i);
        for (int b = 0; b < 6; b++) { /* finite scales */
            bytes[(size_t)b * size + 1] &= 0xbb;
            bytes[(size_t)b * size + 3] &= types[t] == WEFT_GGUF_Q4_1 ? 0xbb : 0xff;
        }
        const weft_gguf_tensor tensor = {.type = types[t], .dimensions = 1, .shape = {6 * 32}, .data = bytes};
        weft_gguf_to_float(&tensor, 0, 6 * 32, got);
        for (int i = 0; i < 6 * 32; i++)
            assert_true(got[i] == expected(types[t], bytes + (size_t)(i / 32) * size, i % 32));
        check_ranges(&tensor, got, 6 * 32);
    }
}

/* Middles go away from zero, on the number times the inverse of the scale; blocks of nothing and of next to nothing. */
static void test_rounding(void **state)
{
    (void)state;
    float values[32] = {127, 0.5f, -0.5f, 1.5f, -1.5f, 2.5f, 126.5f, -126.5f, 0.49999997f};
    signed char wanted[32] = {127, 1, -1, 2, -2, 3, 127, -127, 0};
    unsigned char block[34];
    weft_gguf_from_float(WEFT_GGUF_Q8_0, values, 32, block);
    assert_int_equal(block[0] | block[1] << 8, 0x3c00);
    assert_memory_equal(block + 2, wanted, 32);
    memset(values, 0, sizeof values);
    values[3] = 1e-40f;
    weft_gguf_from_float(WEFT_GGUF_Q8_0, values, 32, block);
    for (int i = 0; i < 34; i++) assert_int_equal(block[i], 0);
}

/* A file of these bytes is refused, with words in the message. */
static void refuses(const void *bytes, size_t count, const char *words)
{
    weft_gguf *file = NULL;
    weft_error error;
    weft_error_clear(&error);
    assert_int_equal(weft_file_write(path, bytes, count, &error), WEFT_OK);
    weft_status status = weft_gguf_open(path, &file, &error);
    weft_gguf_close(file);
    if (status != WEFT_INVALID || !strstr(error.text, words) || !strstr(error.text, path) || strchr(error.text, '\n'))
        fail_msg("\"%s\" does not say \"%s\"", status == WEFT_OK ? "accepted" : error.text, words);
}

/* A whole file is one; every beginning of it is none. */
static void test_truncated(void **state)
{
    (void)state;
    static unsigned char stored[4][ELEMENTS * 4];
    float values[ELEMENTS];
    weft_error error;
    weft_text whole;
    weft_text_init(&whole);
    fill(values, ELEMENTS);
    write_sample(stored, values);
    assert_int_equal(weft_file_read(path, &whole, &error), WEFT_OK);
    for (size_t length = 4; length + 16 < whole.length; length += length < 800 ? 1 : 97)
        refuses(whole.bytes, length, "truncated");
    refuses("", 0, "truncated");
    refuses("PK\3\4 and more", 13, "is no GGUF file");
    weft_text_fini(&whole);
}

/* A header by hand: 8 bytes for each number that is negative here, 4 for the others, texts with their length. */
typedef struct hand {
    unsigned char bytes[512];
    size_t length;
} hand;

static void add(hand *it, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) it->bytes[it->length++] = (unsigned char)(value >> 8 * i);
}

static void add_name(hand *it, const char *text)
{
    add(it, strlen(text), 8);
    memcpy(it->bytes + it->length, text, strlen(text));
    it->length += strlen(text);
}

static hand begin(uint32_t version, uint64_t tensors, uint64_t values)
{
    hand it = {{0}, 0};
    memcpy(it.bytes, "GGUF", 4);
    it.length = 4;
    add(&it, version, 4);
    add(&it, tensors, 8);
    add(&it, values, 8);
    return it;
}

static void add_tensor(hand *it, const char *name, uint32_t dimensions, uint64_t columns, uint32_t type, uint64_t place)
{
    add_name(it, name);
    add(it, dimensions, 4);
    for (uint32_t i = 0; i < dimensions && i < 4; i++) add(it, i ? 1 : columns, 8);
    add(it, type, 4);
    add(it, place, 8);
}

static void refuses_tensor(uint32_t dimensions, uint64_t columns, uint32_t type, uint64_t place, const char *words)
{
    hand it = begin(3, 1, 0);
    add_tensor(&it, "a", dimensions, columns, type, place);
    it.length = 320;
    refuses(it.bytes, it.length, words);
}

static void test_tensors_that_lie(void **state)
{
    (void)state;
    refuses_tensor(0, 8, 0, 0, "has 0 dimensions, 1 to 4 are allowed");
    refuses_tensor(5, 8, 0, 0, "has 5 dimensions");
    refuses_tensor(1, 0, 0, 0, "no file has so many elements");
    refuses_tensor(1, UINT64_MAX, 0, 0, "no file has so many elements");
    refuses_tensor(2, UINT64_MAX / 2, 0, 0, "no file has so many elements");
    refuses_tensor(1, 1u << 20, 0, 0, "truncated");
    refuses_tensor(1, 8, 0, UINT64_MAX - 31, "truncated");
    refuses_tensor(1, 8, 0, 4, "not aligned to 32");
    refuses_tensor(1, 256, 14, 0, "is of type Q6_K (14): weft reads F32, F16, BF16, Q8_0, Q4_0 and Q4_1");
    refuses_tensor(1, 8, 77, 0, "is of type unknown (77)");
    refuses_tensor(1, 48, 8, 0, "rows of 48 elements are no whole blocks of Q8_0");
    hand it = begin(3, 2, 0);
    add_tensor(&it, "a", 1, 16, 0, 0);
    add_tensor(&it, "b", 1, 16, 0, 32);
    it.length = 400;
    refuses(it.bytes, it.length, "tensors \"a\" and \"b\" overlap");
    it = begin(3, 2, 0);
    add_tensor(&it, "a", 1, 8, 0, 0);
    add_tensor(&it, "a", 1, 8, 0, 32);
    it.length = 400;
    refuses(it.bytes, it.length, "has the tensor \"a\" twice");
}

static void refuses_value(const char *key, uint32_t kind, uint32_t items, uint64_t number, const char *words)
{
    hand it = begin(3, 0, 1);
    add_name(&it, key);
    add(&it, kind, 4);
    if (kind == WEFT_GGUF_ARRAY) add(&it, items, 4);
    add(&it, number, 8);
    it.length += 32;
    refuses(it.bytes, it.length, words);
}

static void test_values_that_lie(void **state)
{
    (void)state;
    refuses_value("a", 13, 0, 0, "key \"a\": the format has no type 13");
    refuses_value("a", WEFT_GGUF_ARRAY, 200, 0, "the format has no type 200");
    refuses_value("a", WEFT_GGUF_ARRAY, WEFT_GGUF_ARRAY, 1, "arrays of arrays are not known");
    refuses_value("a", WEFT_GGUF_ARRAY, WEFT_GGUF_UINT64, UINT64_MAX, "states 18446744073709551615 items");
    refuses_value("a", WEFT_GGUF_ARRAY, WEFT_GGUF_STRING, UINT64_MAX / 8, "items, for which");
    refuses_value("a", WEFT_GGUF_STRING, 0, UINT64_MAX, "truncated");
    refuses_value("a b", WEFT_GGUF_UINT32, 0, 0, "printable characters");
    refuses_value("", WEFT_GGUF_UINT32, 0, 0, "printable characters");
    refuses_value("general.alignment", WEFT_GGUF_UINT32, 0, 24, "must be a power of 2, not 24");
    refuses_value("general.alignment", WEFT_GGUF_UINT32, 0, 0, "must be a power of 2, not 0");
    refuses_value("split.count", WEFT_GGUF_UINT16, 0, 3, "is one of 3 parts");
    hand it = begin(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        add_name(&it, "same");
        add(&it, WEFT_GGUF_UINT32, 4);
        add(&it, 1, 4);
    }
    refuses(it.bytes, it.length, "has the key \"same\" twice");
    it = begin(3, UINT64_MAX, 0);
    it.length = 100;
    refuses(it.bytes, it.length, "states 18446744073709551615 tensors");
    it = begin(3, 0, UINT64_MAX);
    it.length = 100;
    refuses(it.bytes, it.length, "states 18446744073709551615 keys");
}

static void test_versions(void **state)
{
    (void)state;
    weft_gguf *file = NULL;
    weft_error error;
    hand it = begin(1, 0, 0);
    refuses(it.bytes, it.length, "is GGUF of version 1: weft reads versions 2 and 3");
    it = begin(4, 0, 0);
    refuses(it.bytes, it.length, "is GGUF of version 4");
    it = begin(0x03000000, 0, 0);
    refuses(it.bytes, it.length, "is big-endian");
    it = begin(2, 0, 0);
    assert_int_equal(weft_file_write(path, it.bytes, it.length, &error), WEFT_OK);
    if (weft_gguf_open(path, &file, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_gguf_close(file);
}

/* What a source has no more of leaves the file that was there. */
static weft_status give_up(void *context, size_t tensor, size_t from, size_t left, const void **out, size_t *out_count,
                           weft_error *error)
{
    if (from > 0) FAIL(error, WEFT_FAILED, "no more");
    return give(context, tensor, from, left, out, out_count, error);
}

static void test_whole_or_not_at_all(void **state)
{
    (void)state;
    float values[ELEMENTS];
    const int64_t shape[] = {ROWS, COLUMNS};
    data it = {{values}};
    const weft_gguf_source source = {&it, give_up};
    char aside[80];
    weft_gguf_list list;
    weft_text left;
    weft_error error;
    fill(values, ELEMENTS);
    assert_int_equal(weft_file_write(path, "old", 3, &error), WEFT_OK);
    weft_gguf_list_init(&list);
    size_t size = weft_gguf_put_tensor(&list, "a", WEFT_GGUF_F32, 2, shape);
    assert_int_equal(weft_gguf_write(&list, &size, &source, path, &error), WEFT_FAILED);
    assert_string_equal(error.text, "no more");
    weft_gguf_list_fini(&list);
    weft_text_init(&left);
    assert_int_equal(weft_file_read(path, &left, &error), WEFT_OK);
    assert_string_equal(weft_text_get(&left), "old");
    weft_text_fini(&left);
    snprintf(aside, sizeof aside, "%s.tmp", path);
    assert_false(weft_path_exists(aside));
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    weft_error error;
    return weft_folder_remove(folder, &error) == WEFT_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_tensors_that_lie),
        cmocka_unit_test(test_values_that_lie),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("gguf", tests, make_folder, remove_folder);
}
