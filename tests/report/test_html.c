/* The page of a timeline: its data is the timeline, bit for bit. test_html FILE: writes a page of two timelines. */
#include "base/file.h"
#include "report/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct scene {
    weft_schedule *schedule;
    weft_program *program;
    weft_timeline timeline;
} scene;

static void scene_init(scene *it, const char *kind, int32_t P, int32_t M)
{
    weft_schedule_options options = {.kind = kind, .ranks = P, .loops = 1, .microbatches = M};
    weft_lower_options lower = {.update = true, .norm = true, .clip = true};
    weft_error error;
    double times[16];
    for (int i = 0; i < 16; i++) times[i] = 1 + i / 3.0;
    weft_costs costs = {.forward = times,
                        .backward_input = times,
                        .backward_weight = times,
                        .update = times,
                        .message = 0.1,
                        .reduce = 0.2};
    assert_int_equal(weft_schedule_create(&options, &it->schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(it->schedule, &lower, &it->program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&it->timeline, it->program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(it->program, &costs, &it->timeline, &error), WEFT_OK);
}

static void scene_fini(scene *it)
{
    weft_timeline_fini(&it->timeline);
    weft_program_destroy(it->program);
    weft_schedule_destroy(it->schedule);
}

static void write_page(const scene *a, const scene *b, weft_text *out)
{
    weft_picture first = {.title = "</script><b>", .caption = "simulated", .unit = "ms", .unit_scale = 1};
    weft_picture second = {.title = "second", .unit = "ms", .unit_scale = 1};
    weft_panel panels[] = {{&a->timeline, &first}, {&b->timeline, &second}};
    weft_error error;
    weft_text_init(out);
    weft_report_html(panels, 2, out);
    assert_int_equal(weft_text_check(out, &error), WEFT_OK);
}

static int value_of(char letter)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(letters, letter);
    assert_true(letter && at);
    return (int)(at - letters);
}

/* The first array of that name at or behind text, decoded; returns its bytes. */
static unsigned char *decode(const char *text, const char *key, size_t *out_count)
{
    char start[32];
    snprintf(start, sizeof start, "\"%s\":\"", key);
    const char *at = strstr(text, start);
    assert_non_null(at);
    at += strlen(start);
    size_t length = strcspn(at, "\""), count = 0;
    assert_int_equal(length % 4, 0);
    unsigned char *bytes = malloc(length / 4 * 3 + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i += 4) {
        int padding = (at[i + 2] == '=') + (at[i + 3] == '=');
        unsigned bits = (unsigned)value_of(at[i]) << 18 | (unsigned)value_of(at[i + 1]) << 12;
        if (padding < 2) bits |= (unsigned)value_of(at[i + 2]) << 6;
        if (padding < 1) bits |= (unsigned)value_of(at[i + 3]);
        for (int k = 0; k < 3 - padding; k++) bytes[count++] = (unsigned char)(bits >> (16 - 8 * k));
    }
    *out_count = count;
    return bytes;
}

static double double_at(const unsigned char *bytes, size_t index)
{
    uint64_t bits = 0;
    double value;
    for (int i = 0; i < 8; i++) bits |= (uint64_t)bytes[8 * index + (size_t)i] << 8 * i;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void check_doubles(const char *text, const char *key, const double *expected, size_t count)
{
    size_t bytes = 0;
    unsigned char *array = decode(text, key, &bytes);
    assert_int_equal(bytes, 8 * count);
    for (size_t i = 0; i < count; i++) assert_true(double_at(array, i) == expected[i]);
    free(array);
}

static void test_data(void **state)
{
    (void)state;
    scene a, b;
    weft_text page;
    scene_init(&a, "1f1b", 3, 5);
    scene_init(&b, "gpipe", 2, 4);
    write_page(&a, &b, &page);
    const char *text = weft_text_get(&page), *second = strstr(text, "\"title\":\"second\"");
    assert_null(strstr(text, "/*DATA*/null"));
    assert_non_null(second);
    check_doubles(text, "begin", a.timeline.begin, a.program->action_count);
    check_doubles(text, "end", a.timeline.end, a.program->action_count);
    check_doubles(second, "end", b.timeline.end, b.program->action_count);
    size_t count = 0;
    unsigned char *kinds = decode(second, "kind", &count);
    assert_int_equal(count, b.program->action_count);
    for (size_t i = 0; i < count; i++) assert_int_equal(kinds[i], b.program->actions[i].kind);
    free(kinds);
    weft_text_fini(&page);
    scene_fini(&a);
    scene_fini(&b);
}

/* Causes of the gaps on the page are those of the bubble. */
static void test_gaps(void **state)
{
    (void)state;
    scene a, b;
    weft_text page;
    weft_bubble bubble;
    weft_error error;
    double wanted = 0, found = 0;
    scene_init(&a, "1f1b", 3, 5);
    scene_init(&b, "gpipe", 2, 4);
    write_page(&a, &b, &page);
    assert_int_equal(weft_bubble_init(&bubble, &a.timeline, &error), WEFT_OK);
    assert_true(bubble.cause[WEFT_BUBBLE_WAIT] > 0 && bubble.cause[WEFT_BUBBLE_IMBALANCE] > 0);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        size_t bytes = 0;
        unsigned char *causes = decode(weft_text_get(&page), "gapCause", &bytes);
        wanted = found = 0;
        for (int rank = 0; rank < 3; rank++) wanted += bubble.ranks[rank].cause[cause];
        for (size_t i = 0; i < bytes / 8 / WEFT_BUBBLE_CAUSES; i++)
            found += double_at(causes, i * WEFT_BUBBLE_CAUSES + (size_t)cause);
        assert_true(fabs(wanted - found) < 1e-9);
        free(causes);
    }
    weft_bubble_fini(&bubble);
    weft_text_fini(&page);
    scene_fini(&a);
    scene_fini(&b);
}

/* A page of its own: no title can end its script, and it asks for nothing from elsewhere. */
static void test_self_contained(void **state)
{
    (void)state;
    scene a, b;
    weft_text page;
    scene_init(&a, "1f1b", 2, 2);
    scene_init(&b, "gpipe", 2, 2);
    write_page(&a, &b, &page);
    const char *text = weft_text_get(&page);
    int scripts = 0;
    for (const char *at = text; (at = strstr(at, "</script>")); at++) scripts++;
    assert_int_equal(scripts, 2);
    assert_non_null(strstr(text, "\\u003c/script>\\u003cb>"));
    assert_null(strstr(text, "http"));
    assert_null(strstr(text, "src="));
    weft_text_fini(&page);
    scene_fini(&a);
    scene_fini(&b);
}

static int keep(const char *path)
{
    scene a, b;
    weft_text page;
    weft_error error;
    scene_init(&a, "1f1b", 3, 5);
    scene_init(&b, "gpipe", 3, 5);
    write_page(&a, &b, &page);
    weft_status status = weft_file_write(path, page.bytes, page.length, &error);
    weft_text_fini(&page);
    scene_fini(&a);
    scene_fini(&b);
    return status == WEFT_OK ? 0 : 1;
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_self_contained),
    };
    if (count > 1) return keep(words[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
