/* Each scanner against PCRE2 with its own expression, on random texts of characters that Unicode 14 has, too. */
#include "base/random.h"
#include "tokenizer/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEXTS = 3000, LONGEST = 24, MOST_WORDS = 256 };

static const char *const pieces[] = {
    "a",
    "b",
    "z",
    "A",
    "Z",
    "s",
    "ll",
    "'s",
    "'S",
    "'t",
    "'ll",
    "'Ve",
    "'rE",
    "'d",
    "'",
    "'\xc5\xbf",
    " ",
    "  ",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\x0b",
    "\xc2\xa0",
    "\xc2\x85",
    "\xe3\x80\x80",
    "\xe2\x80\xa8",
    "\xe1\xa0\x8e",
    "1",
    "23",
    "4567",
    "\xc2\xb2",
    "\xe2\x85\xab",
    "\xd9\xa3",
    ".",
    ",",
    "/",
    "//",
    "!?",
    "-",
    "(",
    "\\",
    "]",
    "^",
    "`",
    "\xe2\x80\x9c",
    "\xe2\x82\xac",
    "\xc3\xa9",
    "\xc3\x89",
    "\xc7\x85",
    "\xca\xb0",
    "\xc2\xaa",
    "\xd0\xb6",
    "\xd0\x96",
    "\xe6\x97\xa5",
    "\xe6\x9c\xac\xe8\xaa\x9e",
    "\xe3\x81\xb2",
    "\xe3\x82\xab",
    "\xe3\x83\xbc",
    "\xe3\x80\x87",
    "\xe9\xbe\xa6",
    "\xcc\x81",
    "\xcc\x81\xcc\x82",
    "\xe2\x80\x8d",
    "\xf0\x9f\x8e\x89",
    "\xf0\x9f\x8f\xbd",
    "\x01",
    "\x7f",
    "\xef\xbf\xbd",
    "\xed\x95\x9c",
    "\xe0\xb8\x81\xe0\xb8\xb3",
};

typedef struct words {
    size_t ends[MOST_WORDS], count, total;
} words;

static weft_status take(void *context, const unsigned char *word, size_t length, weft_error *error)
{
    words *found = context;
    (void)word;
    (void)error;
    assert_true(found->count < MOST_WORDS);
    found->total += length;
    found->ends[found->count++] = found->total;
    return WEFT_OK;
}

static void make_text(uint64_t number, weft_text *out)
{
    weft_random_key key = weft_random_key_make(number, "text");
    uint64_t length = 1 + weft_random_bits(key, 0) % LONGEST;
    out->length = 0;
    for (uint64_t i = 1; i <= length; i++)
        weft_text_add(out, "%s", pieces[weft_random_bits(key, i) % (sizeof pieces / sizeof *pieces)]);
}

static void split(weft_splitter *splitter, const weft_text *text, words *found)
{
    weft_split_walk walk;
    weft_error error;
    *found = (words){0};
    assert_int_equal(weft_split_walk_init(&walk, splitter, &error), WEFT_OK);
    walk.take = take;
    walk.context = found;
    assert_int_equal(weft_split_walk_go(&walk, (const unsigned char *)text->bytes, text->length, &error), WEFT_OK);
    weft_split_walk_fini(&walk);
}

static void compare(const weft_pattern *row, weft_splitter *scanner, weft_splitter *regex)
{
    weft_text text;
    weft_text_init(&text);
    for (uint64_t t = 0; t < TEXTS; t++) {
        words ours, theirs;
        make_text(t, &text);
        split(scanner, &text, &ours);
        split(regex, &text, &theirs);
        size_t i = 0;
        while (i < ours.count && i < theirs.count && ours.ends[i] == theirs.ends[i]) i++;
        if (i < ours.count || i < theirs.count)
            fail_msg("%s: word %zu of '%s' ends at %zu, not %zu", row->text, i, weft_text_get(&text), ours.ends[i],
                     theirs.ends[i]);
        assert_int_equal(ours.total, text.length);
    }
    weft_text_fini(&text);
}

static void compare_row(const weft_pattern *row, weft_dialect dialect)
{
    weft_splitter scanner = {0}, regex = {0};
    weft_text other; /* the same expression by a text that no scanner knows */
    weft_error error;
    weft_text_init(&other);
    weft_text_add(&other, "(?:%s)", row->text);
    assert_int_equal(weft_splitter_add_pattern(&scanner, row->text, dialect, WEFT_SPLIT_ISOLATED, &error), WEFT_OK);
    assert_int_equal(weft_splitter_add_pattern(&regex, other.bytes, dialect, WEFT_SPLIT_ISOLATED, &error), WEFT_OK);
    assert_true(weft_splitter_is_known(&scanner));
    assert_false(weft_splitter_is_known(&regex));
    compare(row, &scanner, &regex);
    weft_text_fini(&other);
    weft_splitter_fini(&scanner);
    weft_splitter_fini(&regex);
}

static void test_scanners_split_as_their_expressions(void **state)
{
    (void)state;
    for (size_t i = 0; i < weft_pattern_count; i++) {
        compare_row(&weft_patterns[i], WEFT_DIALECT_TIKTOKEN);
        if (!weft_patterns[i].of_tiktoken) compare_row(&weft_patterns[i], WEFT_DIALECT_JSON);
    }
}

/* Words of a text, with bars between them. */
static void expect_split(const char *pattern, bool literal, weft_split_habit habit, const char *text, const char *right)
{
    weft_splitter splitter = {0};
    weft_error error;
    weft_text given, found;
    words ends;
    weft_text_init(&given);
    weft_text_init(&found);
    weft_text_add(&given, "%s", text);
    assert_int_equal(literal ? weft_splitter_add_literal(&splitter, pattern, habit, &error)
                             : weft_splitter_add_pattern(&splitter, pattern, WEFT_DIALECT_JSON, habit, &error),
                     WEFT_OK);
    split(&splitter, &given, &ends);
    for (size_t i = 0, at = 0; i < ends.count; at = ends.ends[i++])
        weft_text_add(&found, "%s%.*s", i ? "|" : "", (int)(ends.ends[i] - at), text + at);
    assert_string_equal(weft_text_get(&found), right);
    weft_text_fini(&given);
    weft_text_fini(&found);
    weft_splitter_fini(&splitter);
}

/* As tokenizers 0.23.3 splits them. */
static void test_habits_of_a_split(void **state)
{
    (void)state;
    expect_split("\\d", false, WEFT_SPLIT_ISOLATED, "ab12c", "ab|1|2|c");
    expect_split(" ", true, WEFT_SPLIT_WITH_PREVIOUS, "a  b c", "a | |b |c");
    expect_split(" ", true, WEFT_SPLIT_WITH_NEXT, "a  b c", "a| | b| c");
    expect_split(".", true, WEFT_SPLIT_ISOLATED, "a.b", "a|.|b");
    expect_split("x*", false, WEFT_SPLIT_ISOLATED, "axxb", "a|xx|b"); /* what is empty matches nothing */
    expect_split("\\w+", false, WEFT_SPLIT_ISOLATED, "e\xcc\x81t\xc3\xa9 a_1", "e\xcc\x81t\xc3\xa9| |a_1");
    expect_split("[\\w.]+", false, WEFT_SPLIT_ISOLATED, "a.b c", "a.b| |c");
    expect_split("\\s", false, WEFT_SPLIT_ISOLATED,
                 "a\xe1\xa0\x8e"
                 "b",
                 "a\xe1\xa0\x8e"
                 "b"); /* U+180E is no blank */
}

/* What Oniguruma and PCRE2 read in two ways is read as tokenizers 0.23.3 does, or refused. */
static void test_dialects(void **state)
{
    (void)state;
    static const char *const refused[] = {"\\p{N}{1,3}+", "[a-z&&[^b]]+", "[a[^b]]"};
    expect_split("a$", false, WEFT_SPLIT_ISOLATED, "ab a\nba", "ab |a|\nb|a");
    expect_split("^b", false, WEFT_SPLIT_ISOLATED, "ab\nbb", "ab\n|b|b");
    expect_split("\\h+", false, WEFT_SPLIT_ISOLATED, "xyzab12", "xyz|ab12");
    expect_split(".+", false, WEFT_SPLIT_ISOLATED, "a\r\nb\nc", "a\r|\n|b|\n|c");
    expect_split("[[:alpha:]]+", false, WEFT_SPLIT_ISOLATED,
                 "a\xc3\xa9"
                 "1",
                 "a\xc3\xa9|1");
    expect_split(" ?[^(\\s|[.,!?])]+", false, WEFT_SPLIT_ISOLATED, "Hello, (wor|ld)! x[y]",
                 "Hello|, (|wor|||ld|)!| x[y]");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        weft_splitter splitter = {0};
        weft_error error;
        assert_int_equal(
            weft_splitter_add_pattern(&splitter, refused[i], WEFT_DIALECT_JSON, WEFT_SPLIT_ISOLATED, &error),
            WEFT_INVALID);
        assert_non_null(strstr(error.text, refused[i]));
        weft_splitter_fini(&splitter);
    }
    const weft_pattern *cl100k = weft_pattern_by_name("cl100k"); /* means something else in a tokenizer.json */
    weft_splitter splitter = {0};
    weft_error error;
    assert_int_equal(weft_splitter_add_pattern(&splitter, cl100k->text, WEFT_DIALECT_JSON, WEFT_SPLIT_ISOLATED, &error),
                     WEFT_INVALID);
    weft_splitter_fini(&splitter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scanners_split_as_their_expressions),
        cmocka_unit_test(test_habits_of_a_split),
        cmocka_unit_test(test_dialects),
    };
    return cmocka_run_group_tests_name("tokenizer_scan", tests, NULL, NULL);
}
