/* Documents: what is read, where a reader stops, and the n-th allocation. */
#include "config/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int allocations_left = -1; /* -1: never fail */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return __real_aligned_alloc(alignment, size);
}

static weft_status parse(weft_document *document, const char *text, weft_error *error)
{
    weft_error_clear(error);
    return weft_document_parse(document, text, strlen(text), "file", error);
}

static void check_values(const char *text)
{
    weft_document document;
    weft_error error;
    double number = 0;
    bool truth = false;
    const char *word = NULL;
    assert_int_equal(parse(&document, text, &error), WEFT_OK);
    const weft_node *root = document.root, *list = weft_node_get(root, "list");
    assert_int_equal(root->kind, WEFT_NODE_MAP);
    assert_int_equal(weft_node_number(&document, weft_node_get(root, "number"), &number, &error), WEFT_OK);
    assert_true(number == -1.5e3);
    assert_int_equal(weft_node_truth(&document, weft_node_get(root, "yes"), &truth, &error), WEFT_OK);
    assert_true(truth);
    assert_int_equal(weft_node_text(&document, weft_node_get(root, "word"), &word, &error), WEFT_OK);
    assert_string_equal(word, "12");
    assert_int_equal(weft_node_number(&document, weft_node_get(root, "word"), &number, &error), WEFT_INVALID);
    assert_int_equal(list->kind, WEFT_NODE_LIST);
    assert_string_equal(list->first->next->text, "2");
    assert_string_equal(weft_node_get(list->first->next->next, "deep")->text, "null");
    assert_null(list->first->next->next->next);
    assert_null(weft_node_get(root, "nothing"));
    weft_document_fini(&document);
}

static void test_values(void **state)
{
    (void)state;
    check_values("number: -1.5e3\nyes: true\nword: '12'\nlist:\n- 1\n- 2\n- deep: null\n");
    check_values("\xef\xbb\xbfnumber: -1500\nyes: true\nword: \"12\"\nlist: [1, 2, {deep: null}]\n");
    check_values("{number: -1500, yes: true, word: \"12\", list: [1, 2, {deep: null}]}");
    check_values("{\"number\": -1.5e3, \"yes\": true, \"word\": \"12\", \"list\": [1, 2, {\"deep\": null}]}");
    check_values(
        "\xef\xbb\xbf \n{\"number\": -1500, \"yes\": true, \"word\": \"12\", \"list\": [1, 2, {\"deep\": null}]}");
}

static void check_places(const char *text, const size_t places[][2])
{
    weft_document document;
    weft_error error;
    assert_int_equal(parse(&document, text, &error), WEFT_OK);
    const weft_node *list = document.root->first, *inner = list->first->next;
    const weft_node *nodes[] = {document.root, list, list->first, inner, inner->first, list->next};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (nodes[i]->line != places[i][0] || nodes[i]->column != places[i][1])
            fail_msg("node %zu of %s: %zu:%zu", i, text, nodes[i]->line, nodes[i]->column);
    weft_document_fini(&document);
}

/* Each node knows its line and column, in JSON too. */
static void test_places(void **state)
{
    (void)state;
    const size_t rows[][2] = {{1, 1}, {2, 6}, {2, 7}, {3, 2}, {3, 10}, {4, 6}};
    check_places("{\n\"a\": [\"]\\\"}\",\n {\"b}:\": -1.5e3 } ],\n\"b\": null}", rows);
    const size_t block[][2] = {{1, 1}, {1, 4}, {1, 5}, {2, 2}, {2, 7}, {3, 4}};
    check_places("a: [\"x\",\n {b:  7}]\nb: 1\n", block);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "file: is empty"},
        {"a: 1\na: 2\n", "file:2:1: a: is given twice"},
        {"a: &x 1\nb: *x\n", "file:1:4: anchors are not allowed here; write the value out where it is used"},
        {"a: *x\n", "file:1:4: aliases are not allowed here; write the value out"},
        {"a: !!int 1\n", "file:1:4: tags are not allowed here; the key alone gives the type"},
        {"? [a]\n: b\n", "file:1:3: a key is expected here"},
        {"a: 1\n--- \nb: 1\n", "file:2:1: a second document starts here; one is allowed"},
        {"a: \"x\\0y\"\n", "file:1:4: a zero byte is not allowed here"},
        {"{\"a\": 1, \"a\": 2}", NULL},
        {"{\"a\": \"x\\u0000y\"}", NULL},
        {"{\"a\": 1} x", NULL},
        {"{", NULL},
        {"[1, 2", NULL},
        {"a: [", NULL},
        {"a: \xff\n", "file:1:4: not valid YAML: invalid leading UTF-8 octet"},
        {"\xff\xfe\x61", "file: is text of two or four bytes a character (UTF-16 or UTF-32); save it as UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_document document;
        weft_error error;
        if (parse(&document, rows[i].text, &error) == WEFT_OK) fail_msg("row %zu is taken", i);
        assert_int_equal(error.status, WEFT_INVALID);
        assert_null(strchr(error.text, '\n'));
        if (rows[i].says) assert_string_equal(error.text, rows[i].says);
        assert_int_equal(strncmp(error.text, "file:", 5), 0);
    }
}

/* So many brackets, keys or bytes are refused and neither read for ever nor recursed into. */
static void test_too_much(void **state)
{
    (void)state;
    enum { MANY = 6000 };
    static char text[16 * MANY];
    weft_document document;
    weft_error error;
    for (int json = 0; json < 2; json++) {
        memset(text, '[', MANY);
        memset(text + MANY, ']', MANY);
        text[2 * MANY] = '\0';
        memcpy(text, json ? "[[[" : "a: ", 3);
        assert_int_equal(parse(&document, text, &error), WEFT_INVALID);
    }
    for (int i = 0, length = 0; i < MANY; i++) length += snprintf(text + length, 16, "k%d: 1\n", i);
    assert_int_equal(parse(&document, text, &error), WEFT_INVALID);
    assert_string_equal(error.text, "file:4097:1: too many keys");
    char *large = calloc(17, 1 << 20);
    memset(large, '#', 17 << 20);
    assert_int_equal(weft_document_parse(&document, large, 17 << 20, "file", &error), WEFT_INVALID);
    assert_string_equal(error.text, "file: has more than 16 MiB");
    free(large);
}

/* A text cut anywhere, or with one byte changed, is read or refused. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {"a: {b: [1, 2, 'x'], c: true}\nd: \"e\\n\"\n",
                                        "{\"a\": {\"b\": [1, 2.5, \"x\"], \"c\": true}, \"d\": null}"};
    for (int which = 0; which < 2; which++) {
        size_t length = strlen(texts[which]);
        char text[128];
        for (size_t at = 0; at < length; at++)
            for (int byte = -1; byte < 256; byte += 5) {
                weft_document document;
                weft_error error;
                memcpy(text, texts[which], length + 1);
                text[at] = (char)byte;
                weft_error_clear(&error);
                weft_status status = weft_document_parse(&document, text, byte < 0 ? at : length, "file", &error);
                if (status == WEFT_OK)
                    weft_document_fini(&document);
                else
                    assert_int_equal(status, WEFT_INVALID);
            }
    }
}

static void test_every_allocation(void **state)
{
    (void)state;
    static const char *const texts[] = {"a: {b: [1, 2, 'x'], c: true}\n", "{\"a\": {\"b\": [1, 2.5, \"x\"]}}"};
    for (int which = 0; which < 2; which++) {
        int failures = 0;
        for (;; failures++) {
            weft_document document;
            weft_error error;
            allocations_left = failures;
            weft_status status = parse(&document, texts[which], &error);
            allocations_left = -1;
            if (status == WEFT_OK) {
                weft_document_fini(&document);
                break;
            }
            assert_int_equal(status, WEFT_NO_MEMORY);
            assert_int_equal(error.status, WEFT_NO_MEMORY);
        }
        assert_true(failures > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),   cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_too_much),
                                       cmocka_unit_test(test_damaged),  cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
