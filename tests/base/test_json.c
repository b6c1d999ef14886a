/* The writer of JSON: its layouts, and that another reader finds in what it wrote what it was given. */
#include "base/json.h"
#include "base/median.h"
#include "base/random.h"
#include "base/utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static void write_sample(weft_json_style style, weft_text *out)
{
    weft_json json = weft_json_begin(out, style);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "a", "</b>");
    weft_json_list(&json, "rows", WEFT_JSON_LINES);
    for (int i = 0; i < 2; i++) {
        weft_json_object(&json, NULL, WEFT_JSON_ROW);
        weft_json_int(&json, "i", i);
        weft_json_list(&json, "empty", WEFT_JSON_LINES);
        weft_json_list_end(&json);
        weft_json_object_end(&json);
    }
    weft_json_list_end(&json);
    weft_json_list(&json, "values", WEFT_JSON_ROW);
    weft_json_number(&json, NULL, 0.1);
    weft_json_number(&json, NULL, (double)NAN);
    weft_json_rounded(&json, NULL, 3, 1.0 / 3);
    weft_json_rounded(&json, NULL, 3, HUGE_VAL);
    weft_json_truth(&json, NULL, true);
    weft_json_truth(&json, NULL, false);
    weft_json_null(&json, NULL);
    weft_json_text(&json, NULL, NULL);
    weft_json_list_end(&json);
    weft_json_object_end(&json);
}

static void test_styles(void **state)
{
    (void)state;
    static const char *const expected[] = {
        [WEFT_JSON_TIGHT] = "{\n\"a\":\"</b>\",\n\"rows\":[\n{\"i\":0,\"empty\":[]},\n{\"i\":1,\"empty\":[]}\n],\n"
                            "\"values\":[0.1,null,0.333,null,true,false,null,null]\n}",
        [WEFT_JSON_SCRIPT] = "{\n\"a\":\"\\u003c/b>\",\n\"rows\":[\n{\"i\":0,\"empty\":[]},\n{\"i\":1,\"empty\":[]}\n],"
                             "\n\"values\":[0.1,null,0.333,null,true,false,null,null]\n}",
        [WEFT_JSON_WIDE] = "{\n  \"a\": \"</b>\",\n  \"rows\": [\n    {\"i\": 0, \"empty\": []},\n"
                           "    {\"i\": 1, \"empty\": []}\n  ],\n"
                           "  \"values\": [0.1, null, 0.333, null, true, false, null, null]\n}",
    };
    for (int style = 0; style <= WEFT_JSON_WIDE; style++) {
        weft_text text;
        weft_text_init(&text);
        write_sample((weft_json_style)style, &text);
        assert_string_equal(weft_text_get(&text), expected[style]);
        weft_text_fini(&text);
    }
}

typedef struct chance {
    weft_random_key key;
    uint64_t drawn;
} chance;

static uint64_t draw(chance *from, uint64_t below)
{
    return weft_random_bits(from->key, from->drawn++) % below;
}

/* Up to 11 characters of all lengths and kinds, no zero among them. */
static void make_text(chance *from, char text[48])
{
    static const uint32_t most[] = {0x7f, 0x7ff, 0xffff, 0x10ffff, '"', '\\', 0x1f, 0x2029};
    char *at = text;
    for (uint64_t left = draw(from, 12); left > 0; left--) {
        uint32_t highest = most[draw(from, sizeof most / sizeof *most)];
        uint32_t code = draw(from, 2) ? highest : 1 + (uint32_t)draw(from, highest);
        if (code < 0xd800 || code > 0xdfff) at += weft_utf8_encode(code, at);
    }
    *at = '\0';
}

static json_t *make_tree(chance *from, int depth);

static json_t *make_items(chance *from, int depth, bool map)
{
    json_t *items = map ? json_object() : json_array();
    for (uint64_t left = draw(from, 5); left > 0; left--) {
        char key[48];
        make_text(from, key);
        if (map)
            json_object_set_new(items, key, make_tree(from, depth + 1));
        else
            json_array_append_new(items, make_tree(from, depth + 1));
    }
    return items;
}

static json_t *make_tree(chance *from, int depth)
{
    char text[48];
    double real = ldexp((double)(int64_t)draw(from, UINT64_MAX), (int)draw(from, 400) - 200);
    switch (draw(from, depth < 5 ? 7 : 4)) {
    case 0:
        make_text(from, text);
        return json_string(text);
    case 1:
        return json_integer((json_int_t)draw(from, UINT64_MAX));
    case 2:
        return json_real(real + 0.5);
    case 3:
        return draw(from, 3) ? json_boolean(draw(from, 2)) : json_null();
    default:
        return make_items(from, depth, draw(from, 2));
    }
}

static void write_tree(chance *from, weft_json *json, const char *key, json_t *tree)
{
    const char *name;
    json_t *item;
    size_t i;
    weft_json_layout layout = draw(from, 2) ? WEFT_JSON_LINES : WEFT_JSON_ROW;
    if (json_is_object(tree)) {
        weft_json_object(json, key, layout);
        json_object_foreach(tree, name, item) write_tree(from, json, name, item);
        weft_json_object_end(json);
    } else if (json_is_array(tree)) {
        weft_json_list(json, key, layout);
        json_array_foreach(tree, i, item) write_tree(from, json, NULL, item);
        weft_json_list_end(json);
    } else if (json_is_string(tree)) {
        weft_json_text(json, key, json_string_value(tree));
    } else if (json_is_integer(tree)) {
        weft_json_int(json, key, json_integer_value(tree));
    } else if (json_is_real(tree)) {
        weft_json_number(json, key, json_real_value(tree));
    } else if (json_is_null(tree)) {
        weft_json_null(json, key);
    } else {
        weft_json_truth(json, key, json_is_true(tree));
    }
}

/* A whole number is one to a reader, whether it was a real one before. */
static bool same(json_t *a, json_t *b)
{
    const char *key;
    json_t *item;
    size_t i;
    bool equal = true;
    if (json_is_object(a)) {
        json_object_foreach(a, key, item) equal = equal && same(item, json_object_get(b, key));
        return equal && json_object_size(a) == json_object_size(b);
    }
    if (json_is_array(a)) {
        json_array_foreach(a, i, item) equal = equal && same(item, json_array_get(b, i));
        return equal && json_array_size(a) == json_array_size(b);
    }
    return json_is_real(a) ? json_number_value(a) == json_number_value(b) : json_equal(a, b);
}

static void test_read_back(void **state)
{
    (void)state;
    chance from = {.key = weft_random_key_make(5, "trees")};
    for (int round = 0; round < 2000; round++) {
        weft_text text;
        json_error_t problem;
        weft_text_init(&text);
        json_t *tree = make_items(&from, 0, draw(&from, 2));
        weft_json json = weft_json_begin(&text, (weft_json_style)draw(&from, 3));
        write_tree(&from, &json, NULL, tree);
        json_t *read = json_loadb(text.bytes, text.length, 0, &problem);
        if (!read || !same(tree, read)) fail_msg("round %d: %s: %s", round, problem.text, text.bytes);
        if (json.style == WEFT_JSON_SCRIPT) assert_null(strchr(text.bytes, '<'));
        assert_int_equal(json.depth, 0);
        json_decref(tree);
        json_decref(read);
        weft_text_fini(&text);
    }
}

static void test_deep(void **state)
{
    (void)state;
    enum { DEEP = 300 };
    weft_text text;
    weft_text_init(&text);
    weft_json json = weft_json_begin(&text, WEFT_JSON_TIGHT);
    for (int i = 0; i < DEEP; i++) weft_json_list(&json, NULL, WEFT_JSON_ROW);
    for (int i = 0; i < DEEP; i++) weft_json_list_end(&json);
    assert_int_equal(text.length, 2 * DEEP);
    weft_text_fini(&text);
}

static void test_taken_text(void **state)
{
    (void)state;
    weft_text out, part;
    weft_text_init(&out);
    weft_json json = weft_json_begin(&out, WEFT_JSON_TIGHT);
    weft_text_init(&part);
    weft_text_add(&part, "x");
    weft_json_take_text(&json, NULL, &part);
    assert_string_equal(weft_text_get(&out), "\"x\"");
    assert_null(part.bytes);
    weft_text_init(&part);
    part.failed = true;
    weft_json_take_text(&json, NULL, &part);
    assert_true(out.failed);
    weft_text_fini(&out);
}

static void test_whole_numbers(void **state)
{
    (void)state;
    static const int64_t values[] = {0, 7, -7, 10, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        weft_text text;
        int64_t again = 1;
        weft_text_init(&text);
        weft_text_add_int(&text, values[i]);
        assert_true(weft_parse_int(weft_text_get(&text), &again));
        assert_true(again == values[i]);
        weft_text_fini(&text);
    }
}

/* Every code point goes there and back; every two, three and four bytes that do not come from one are none. */
static void test_utf8(void **state)
{
    (void)state;
    int64_t characters = 0;
    for (uint32_t code = 1; code <= 0x10ffff; code++) {
        char bytes[5] = "";
        uint32_t again = 0;
        if (code >= 0xd800 && code < 0xe000) continue;
        int length = weft_utf8_encode(code, bytes);
        if (weft_utf8_next(bytes, &again) != length || again != code) fail_msg("U+%04x", (unsigned)code);
        characters++;
    }
    for (uint32_t lead = 0xc000; lead < 0x1000000; lead++) { /* two bytes, then three */
        if (lead > 0xffff && lead < 0xe00000) lead = 0xe00000;
        int count = lead > 0xffff ? 3 : 2;
        unsigned char bytes[3] = {(unsigned char)(lead >> (count - 1) * 8), (unsigned char)(lead >> (count - 2) * 8),
                                  (unsigned char)lead};
        characters -= weft_utf8_length(bytes, (size_t)count) == count;
    }
    assert_int_equal(characters, 0x7f + 0x100000); /* those of one byte and of four are left */
    assert_int_equal(weft_utf8_length((const unsigned char *)"\xe2\x82", 2), 0);
    assert_int_equal(weft_utf8_length((const unsigned char *)"\xf4\x90\x80\x80", 4), 0);
    assert_int_equal(weft_utf8_length((const unsigned char *)"\xf0\x8f\xbf\xbf", 4), 0);
    assert_int_equal(weft_utf8_length((const unsigned char *)"", 0), 0);
}

static void test_median(void **state)
{
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    assert_true(weft_median(odd, 3) == 2);
    assert_true(weft_median(even, 4) == 2.5);
    assert_true(weft_median(odd, 1) == 1);
    assert_true(weft_median(odd, 0) == 0);
    assert_true(weft_median_low(even, 4) == 2 && weft_median_low(odd, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_styles),     cmocka_unit_test(test_read_back),     cmocka_unit_test(test_deep),
        cmocka_unit_test(test_taken_text), cmocka_unit_test(test_whole_numbers), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_median),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
