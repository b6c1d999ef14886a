#include "base/file.h"
#include "report/report.h"
#include "xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

typedef struct scene {
    weft_schedule *schedule;
    weft_program *program;
    weft_timeline timeline;
} scene;

/* A simulated step with unequal times; zero times when scale is 0. */
static void scene_init(scene *it, const char *kind, int32_t P, int32_t V, int32_t M, double scale)
{
    weft_schedule_options options = {.kind = kind, .ranks = P, .loops = V, .microbatches = M};
    weft_lower_options lower = {.update = true, .norm = true, .clip = true, .metrics = true};
    weft_error error;
    double *times = calloc((size_t)P * (size_t)V, sizeof *times);
    assert_non_null(times);
    for (int32_t s = 0; s < P * V; s++) times[s] = scale * (1 + 0.1 * s);
    weft_costs costs = {.forward = times,
                        .backward_input = times,
                        .backward_weight = times,
                        .update = times,
                        .message = 0.1 * scale,
                        .reduce = 0.2 * scale};
    assert_int_equal(weft_schedule_create(&options, &it->schedule, &error), WEFT_OK);
    assert_int_equal(weft_program_create(it->schedule, &lower, &it->program, &error), WEFT_OK);
    assert_int_equal(weft_timeline_init(&it->timeline, it->program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(it->program, &costs, &it->timeline, &error), WEFT_OK);
    free(times);
}

static void scene_fini(scene *it)
{
    weft_timeline_fini(&it->timeline);
    weft_program_destroy(it->program);
    weft_schedule_destroy(it->schedule);
}

static bool has_renderer(void)
{
    return system("command -v rsvg-convert >/dev/null 2>&1") == 0;
}

/* Where the machine has it, a real renderer has the last word. */
static void check_renders(const weft_text *svg)
{
    if (!has_renderer()) return;
    char folder[] = "/tmp/weft-report-XXXXXX", path[64], command[160];
    weft_error error;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/picture.svg", folder);
    assert_int_equal(weft_file_write(path, svg->bytes, svg->length, &error), WEFT_OK);
    snprintf(command, sizeof command, "rsvg-convert %s -o %s.png 2>/dev/null", path, path);
    assert_int_equal(system(command), 0);
    assert_int_equal(weft_folder_remove(folder, &error), WEFT_OK);
}

static void draw(const scene *it, const char *title, const char *unit, weft_text *out)
{
    weft_picture picture = {.title = title, .caption = "simulated", .unit = unit, .unit_scale = 1e3};
    weft_error error;
    weft_text_init(out);
    weft_report_svg(&it->timeline, &picture, out);
    assert_int_equal(weft_text_check(out, &error), WEFT_OK);
    assert_int_equal(count_of(weft_text_get(out), "nan"), 0);
    assert_int_equal(count_of(weft_text_get(out), "inf"), 0);
    check_well_formed(weft_text_get(out));
}

static void test_every_action_is_drawn(void **state)
{
    (void)state;
    scene it;
    weft_text svg;
    scene_init(&it, "breadth-first", 2, 2, 4, 0.001);
    draw(&it, "a <title> & \"more\"", "ms", &svg);
    check_renders(&svg);
    /* Each action has a tooltip that names it. */
    assert_int_equal(count_of(weft_text_get(&svg), "<title>"), it.program->action_count);
    for (size_t i = 0; i < it.schedule->first[2]; i++) {
        weft_text tip;
        weft_text_init(&tip);
        weft_text_add(&tip, "<title>");
        weft_action_print(it.schedule->actions[i], &tip);
        weft_text_add(&tip, ": ");
        assert_int_equal(count_of(weft_text_get(&svg), weft_text_get(&tip)), 1);
        weft_text_fini(&tip);
    }
    assert_int_equal(count_of(weft_text_get(&svg), "stroke=\"none\">3</text>"), 2 * 4);
    assert_non_null(strstr(weft_text_get(&svg), "a &lt;title&gt; &amp; &quot;more&quot;"));
    const char *expected[] = {">forward<", ">backward<", ">update<",           ">idle<",
                              ">rank 1<",  ">ms<",       "ms \xc2\xb7 bubble "};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(count_of(weft_text_get(&svg), expected[i]), 1);
    assert_null(strstr(weft_text_get(&svg), ">gather weights<")); /* not in this step, not in the legend */
    weft_text_fini(&svg);
    scene_fini(&it);
}

/* The bubble in the caption is the one that everything else reports. */
static void test_caption_bubble(void **state)
{
    (void)state;
    scene it;
    weft_text svg, expected;
    weft_bubble measured;
    weft_error error;
    scene_init(&it, "gpipe", 3, 1, 4, 0.001);
    assert_int_equal(weft_bubble_init(&measured, &it.timeline, &error), WEFT_OK);
    double step = measured.step_time, bubble = measured.fraction;
    draw(&it, "title", "ms", &svg);
    weft_text_init(&expected);
    weft_text_add(&expected, "%.2f ms \xc2\xb7 bubble %.1f %%: fill ", step * 1e3, 100 * bubble);
    assert_true(bubble > 0.2 && step * 1e3 > 10 && step * 1e3 < 100);
    assert_non_null(strstr(weft_text_get(&svg), weft_text_get(&expected)));
    for (int rank = 0; rank < 3; rank++) {
        expected.length = 0;
        weft_text_add(&expected, ">%.1f %% idle<", 100 * measured.ranks[rank].idle / step);
        assert_non_null(strstr(weft_text_get(&svg), weft_text_get(&expected)));
    }
    expected.length = 0;
    weft_text_add(&expected, ">a rank's first pass to its last: %.2f ms, bubble %.1f %% \xc2\xb7 at most 4 held<",
                  measured.own_step_time * 1e3, 100 * measured.own_fraction);
    assert_non_null(strstr(weft_text_get(&svg), weft_text_get(&expected)));
    weft_bubble_fini(&measured);
    weft_text_fini(&expected);
    weft_text_fini(&svg);
    scene_fini(&it);
}

/* Where the sizes of stages are known, what is held has bytes: of the rank whose stages are large, not of that which
 * holds most of them. */
static void test_held_bytes(void **state)
{
    (void)state;
    static const size_t held[] = {1 << 20, 1 << 20, 8 << 20};
    scene it;
    weft_text svg;
    scene_init(&it, "1f1b", 3, 1, 4, 0.001);
    weft_picture picture = {.title = "t", .unit = "ms", .unit_scale = 1e3, .held = held};
    weft_text_init(&svg);
    weft_report_svg(&it.timeline, &picture, &svg);
    assert_non_null(strstr(weft_text_get(&svg), "at most 3 held (8.0 MiB)<"));
    weft_report_html(&(weft_panel){&it.timeline, &picture}, 1, &svg);
    assert_non_null(strstr(weft_text_get(&svg), "\"held\":\"at most 3 held (8.0 MiB)\""));
    svg.length = 0;
    weft_report_trace(&it.timeline, &picture, &svg);
    assert_int_equal(count_of(weft_text_get(&svg), "{\"bytes\":8388608}"), 4);
    assert_int_equal(count_of(weft_text_get(&svg), "{\"bytes\":3145728}"), 2);
    weft_text_fini(&svg);
    scene_fini(&it);
}

/* Of many micro-batches those of two digits have their numbers as long as the bars are as wide as the digits are high.
 */
static void test_many_numbers(void **state)
{
    (void)state;
    static const struct {
        int32_t P, V, M;
        bool fits;
    } sizes[] = {{4, 2, 12, true}, {4, 2, 16, true}, {4, 1, 32, true}, {4, 4, 64, false}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        scene it;
        weft_text svg;
        char last[32];
        scene_init(&it, "depth-first", sizes[i].P, sizes[i].V, sizes[i].M, 0.001);
        draw(&it, "many", "ms", &svg);
        check_renders(&svg);
        snprintf(last, sizeof last, ">%d</text>", sizes[i].M - 1);
        int found = count_of(weft_text_get(&svg), last), all = 2 * sizes[i].P * sizes[i].V;
        if (sizes[i].fits) assert_int_equal(found, all);
        if (!sizes[i].fits) assert_true(found < all);
        weft_text_fini(&svg);
        scene_fini(&it);
    }
}

/* Many ranks, many actions, one rank, no time at all, very short and very long steps. */
static void test_extremes(void **state)
{
    (void)state;
    static const struct {
        int32_t P, V, M;
        double scale;
    } shapes[] = {{1, 1, 1, 1e-3}, {200, 1, 8, 1e-3}, {4, 4, 200, 1e-4},
                  {2, 1, 2, 0},    {2, 1, 2, 1e-12},  {2, 1, 2, 1e12}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        scene it;
        weft_text svg;
        scene_init(&it, "breadth-first", shapes[i].P, shapes[i].V, shapes[i].M, shapes[i].scale);
        draw(&it, "extreme", NULL, &svg);
        check_renders(&svg);
        int ticks = count_of(weft_text_get(&svg), "<line ");
        assert_true(shapes[i].scale > 0 ? ticks >= 4 && ticks <= 11 : ticks == 0);
        weft_text_fini(&svg);
        scene_fini(&it);
    }
}

/* Two timelines, the second twice as long: on one axis, under each other in the picture and as other ranks in the
 * trace. */
static void test_stack(void **state)
{
    (void)state;
    scene once, twice;
    weft_text text;
    scene_init(&once, "1f1b", 2, 1, 3, 1e-3);
    scene_init(&twice, "1f1b", 2, 1, 3, 2e-3);
    weft_picture measured = {.title = "run", .caption = "measured", .unit = "ms", .unit_scale = 1e3},
                 predicted = measured;
    predicted.caption = "predicted \"so\"";
    const weft_panel panels[] = {{&once.timeline, &measured}, {&twice.timeline, &predicted}};
    weft_text_init(&text);
    weft_report_svg_stack(panels, 2, &text);
    check_well_formed(weft_text_get(&text));
    check_renders(&text);
    assert_int_equal(count_of(weft_text_get(&text), "<title>"), 2 * once.program->action_count);
    const char *second = strstr(weft_text_get(&text), "<g transform=\"translate(0 ");
    assert_non_null(second);
    assert_non_null(strstr(second, "predicted"));
    /* F of the first micro-batch: 1 ms of the first step, 2 ms of the second, whose end is that of both axes. */
    double step = 0, bubble = 0;
    weft_bubble_rank ranks[2];
    weft_bubble_measure(&twice.timeline, &step, &bubble, ranks);
    const double pixels = (1104 - 76) / step;
    for (int i = 0; i < 2; i++) {
        char width[32];
        snprintf(width, sizeof width, "width=\"%.2f\"", pixels * (i + 1) * 1e-3);
        assert_non_null(strstr(i ? second : weft_text_get(&text), width));
    }
    text.length = 0;
    weft_report_trace_stack(panels, 2, &text);
    assert_int_equal(count_of(weft_text_get(&text), "\"ph\":\"X\""), 2 * once.program->action_count);
    assert_int_equal(count_of(weft_text_get(&text), "\"name\":\"rank 1, measured\""), 1);
    assert_int_equal(count_of(weft_text_get(&text), "\"name\":\"rank 1, predicted \\\"so\\\"\""), 1);
    assert_non_null(strstr(weft_text_get(&text), "{\"ph\":\"X\",\"pid\":3,"));
    assert_null(strstr(weft_text_get(&text), "\"pid\":4"));
    weft_text_fini(&text);
    scene_fini(&once);
    scene_fini(&twice);
}

static void test_csv(void **state)
{
    (void)state;
    scene it;
    weft_text csv;
    scene_init(&it, "1f1b", 2, 1, 1, 1);
    weft_text_init(&csv);
    weft_report_csv(&it.timeline, &csv);
    const char *expected = "rank,lane,action,stage,microbatch,begin,end\n"
                           "0,compute,F,0,0,0.000000000,1.000000000\n"
                           "0,compute,B,0,0,";
    assert_memory_equal(weft_text_get(&csv), expected, strlen(expected));
    assert_non_null(strstr(weft_text_get(&csv), "\n0,send_f 1,SEND_F,0,0,1.000000000,1.100000000\n"));
    assert_non_null(strstr(weft_text_get(&csv), "\n1,recv_f 0,RECV_F,1,0,1.000000000,1.100000000\n"));
    assert_non_null(strstr(weft_text_get(&csv), "\n1,reduce,NORM,,,"));
    assert_non_null(strstr(weft_text_get(&csv), "\n1,compute,UPDATE,1,,"));
    assert_int_equal(count_of(weft_text_get(&csv), "\n"), it.program->action_count + 1);
    weft_text_fini(&csv);
    scene_fini(&it);
}

/* Every action is an event in its lane, every rank a named process, and memory ends at zero. */
static void test_trace(void **state)
{
    (void)state;
    scene it;
    weft_text trace;
    weft_picture picture = {.title = "</script>", .unit = "ms", .unit_scale = 1};
    scene_init(&it, "1f1b", 2, 1, 3, 1);
    weft_text_init(&trace);
    weft_report_trace(&it.timeline, &picture, &trace);
    const char *text = weft_text_get(&trace);
    assert_int_equal(count_of(text, "\"ph\":\"X\""), it.program->action_count);
    assert_int_equal(count_of(text, "process_name"), 2);
    assert_int_equal(count_of(text, "thread_name"), it.program->rank_lanes[2]);
    assert_int_equal(count_of(text, "\"ph\":\"C\""), 2 * 2 * 3);
    assert_int_equal(count_of(text, "{\"held\":0}"), 1 + 3);
    assert_int_equal(count_of(text, "{\"held\":2}"), 2);
    assert_non_null(strstr(text, "{\"ph\":\"X\",\"pid\":0,\"tid\":0,\"name\":\"0F1\",\"cat\":\"F\",\"ts\":1000,"
                                 "\"dur\":1000,\"args\":{\"stage\":0,\"microbatch\":1}}"));
    assert_non_null(strstr(text, "\"name\":\"thread_name\",\"args\":{\"name\":\"recv_f 0\"}"));
    picture.unit = "s";
    trace.length = 0;
    weft_report_trace(&it.timeline, &picture, &trace);
    assert_non_null(strstr(weft_text_get(&trace), "\"ts\":1.0e+06,"));
    weft_text_fini(&trace);
    scene_fini(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_action_is_drawn),
        cmocka_unit_test(test_caption_bubble),
        cmocka_unit_test(test_held_bytes),
        cmocka_unit_test(test_many_numbers),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
