#include "base/file.h"
#include "report/report.h"
#include "report/sweep.h"

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

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) count++;
    return count;
}

/* One tag: its attributes have quoted values. Returns where it ends, and whether it closes itself. */
static const char *read_attributes(const char *at, bool *closed)
{
    while (*at && *at != '>' && *at != '/') {
        assert_int_equal(*at++, ' ');
        at += strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
        assert_memory_equal(at, "=\"", 2);
        at += 2 + strcspn(at + 2, "\"<");
        assert_int_equal(*at++, '"');
    }
    *closed = *at == '/';
    at += *closed;
    assert_int_equal(*at, '>');
    return at + 1;
}

/* A small check of well-formed XML: tags are balanced, entities are known, one root. */
static void check_well_formed(const char *at)
{
    enum { DEPTH = 16, NAME = 16 };
    char open[DEPTH][NAME];
    int depth = 0, roots = 0;
    while (*at) {
        if (*at == '&')
            assert_true(!strncmp(at, "&amp;", 5) || !strncmp(at, "&lt;", 4) || !strncmp(at, "&gt;", 4) ||
                        !strncmp(at, "&quot;", 6));
        if (*at != '<') {
            at++;
            continue;
        }
        bool closing = at[1] == '/', closed = false;
        char name[NAME] = "";
        at += 1 + closing;
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        assert_true(length > 0 && length < NAME);
        memcpy(name, at, length);
        at = read_attributes(at + length, &closed);
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else if (!closed) {
            roots += depth == 0;
            assert_true(depth < DEPTH);
            memcpy(open[depth++], name, NAME);
        }
    }
    assert_int_equal(depth, 0);
    assert_int_equal(roots, 1);
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

static void check_progress(const weft_step_record *record, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_report_progress(record, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

static void test_progress(void **state)
{
    (void)state;
    weft_step_record record = {.step = 7,
                               .steps = 600,
                               .loss = 1.23456,
                               .tokens_per_second = 9876.4,
                               .flops_per_second = 71e9,
                               .peak = 100e9,
                               .seconds_left = 83.4};
    check_progress(&record, "step   7/600  loss 1.2346  9876 tokens/s  71% of peak  1:23 left");
    record.peak = 0;
    record.tokens_per_second = 12345;
    record.seconds_left = 3661;
    check_progress(&record, "step   7/600  loss 1.2346  12.3k tokens/s  1:01:01 left");
    record.loss = NAN;
    record.tokens_per_second = NAN;
    record.seconds_left = -1;
    check_progress(&record, "step   7/600  loss nan");
    record.tokens_per_second = 2.5e7;
    record.seconds_left = INFINITY;
    check_progress(&record, "step   7/600  loss nan  25.0M tokens/s");
}

static void check_step_json(const weft_step_record *record, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_report_step_json(record, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

static void test_step_json(void **state)
{
    (void)state;
    double bubble[] = {0.25, NAN};
    weft_step_record record = {.step = 7,
                               .steps = 9,
                               .loss = 5.5,
                               .gradient_norm = 1.25,
                               .learning_rate = 0.0003,
                               .seconds = 0.5,
                               .tokens_per_second = 4096,
                               .flops_per_second = 2e9,
                               .peak = 8e9,
                               .ranks = 2,
                               .bubble = bubble};
    check_step_json(&record, "{\"step\":7,\"loss\":5.5,\"gradient_norm\":1.25,\"learning_rate\":0.0003,\"seconds\":0.5,"
                             "\"tokens_per_second\":4096,\"flops_per_second\":2.0e+09,\"peak_share\":0.25,"
                             "\"bubble\":[0.25,null]}\n");
    record = (weft_step_record){.step = 1, .loss = INFINITY, .gradient_norm = NAN, .learning_rate = -INFINITY};
    check_step_json(&record, "{\"step\":1,\"loss\":null,\"gradient_norm\":null,\"learning_rate\":null,\"seconds\":0,"
                             "\"tokens_per_second\":0,\"flops_per_second\":0,\"peak_share\":null,\"bubble\":[]}\n");
}

/* Losses are compared bit for bit between runs, also through their text. */
static void test_numbers_come_back(void **state)
{
    (void)state;
    double value = 0.1;
    for (int i = 0; i < 2000; i++, value = value * 1.37 + 1.0 / 3) {
        if (value > 1e12) value = 1e-7 * i;
        weft_step_record record = {.loss = value};
        weft_text text;
        weft_text_init(&text);
        weft_report_step_json(&record, &text);
        const char *loss = strstr(weft_text_get(&text), "\"loss\":");
        assert_non_null(loss);
        assert_true(strtod(loss + 7, NULL) == value);
        weft_text_fini(&text);
    }
}

static void test_evaluation_json(void **state)
{
    (void)state;
    weft_evaluation_record record = {.step = 600, .loss = 1.5, .bits_per_byte = 2.25, .tokens = 123456789012};
    weft_text text;
    weft_text_init(&text);
    weft_report_evaluation_json(&record, &text);
    record.bits_per_byte = 0;
    record.loss = NAN;
    weft_report_evaluation_json(&record, &text);
    assert_string_equal(
        weft_text_get(&text),
        "{\"evaluation\":true,\"step\":600,\"loss\":1.5,\"bits_per_byte\":2.25,\"tokens\":123456789012}\n"
        "{\"evaluation\":true,\"step\":600,\"loss\":null,\"bits_per_byte\":null,\"tokens\":123456789012}\n");
    weft_text_fini(&text);
}

enum { SWEEP_ROWS = 5 };

static const size_t sweep_memory[SWEEP_ROWS][2] = {
    {3 << 20, 2 << 20}, {3 << 20, 4 << 20}, {5 << 20, 4 << 20}, {6 << 20, 5 << 20}, {9 << 20, 8 << 20}};

/* Sizes 1 to 16 of a batch of 16 sequences of 10 tokens. Small ones are slow while busy, large ones stand idle; the
 * last does not fit, and 8 was not run. */
static void make_sweep(weft_sweep *sweep, weft_sweep_row *rows, double peak)
{
    static const double busy[SWEEP_ROWS] = {4, 2, 1.8, 1.75, 0}, bubble[SWEEP_ROWS] = {0.05, 0.1, 0.4, 0.7, 0};
    *sweep = (weft_sweep){.schedule = "a<b",
                          .data = 1,
                          .ranks = 2,
                          .stages = 4,
                          .sequences = 16,
                          .tokens = 10,
                          .steps = 3,
                          .step_flops = 1e9,
                          .peak = peak,
                          .rows = rows,
                          .count = SWEEP_ROWS};
    for (int i = 0; i < SWEEP_ROWS; i++) {
        double seconds = busy[i] / (1 - bubble[i]);
        rows[i] = (weft_sweep_row){.microbatch = 1 << i, .microbatches = 16 >> i, .memory = sweep_memory[i]};
        if (i < 3) {
            rows[i].outcome = WEFT_SWEEP_MEASURED;
            rows[i].measured = weft_sweep_figure(sweep, seconds, bubble[i]);
            rows[i].has_prediction = true;
            rows[i].predicted = weft_sweep_figure(sweep, seconds * (i == 2 ? 0.5 : 1), bubble[i]);
        }
    }
    rows[4].outcome = WEFT_SWEEP_TOO_LARGE;
    rows[4].reason = "it needs \"more\"";
}

static void assert_near(double a, double b)
{
    assert_true(fabs(a - b) <= 1e-12 * fabs(b));
}

static void test_sweep_figures(void **state)
{
    (void)state;
    weft_sweep sweep;
    weft_sweep_row rows[SWEEP_ROWS];
    make_sweep(&sweep, rows, 2e9);
    for (int i = 0; i < 3; i++) {
        const weft_sweep_figures *f = &rows[i].measured;
        assert_near(f->tokens_per_second * sweep.step_flops / (16 * 10), sweep.peak * f->peak_share);
        assert_near(f->peak_share, f->busy_peak_share * (1 - f->bubble));
    }
    assert_int_equal(weft_sweep_best(&sweep), 1);
    assert_int_equal(weft_sweep_predicted_best(&sweep), 2);
    assert_int_equal(weft_sweep_memory(&sweep, &rows[1]), 4 << 20);
    assert_true(isnan(weft_sweep_figure(&(weft_sweep){.step_flops = 1, .sequences = 1, .tokens = 1}, 1, 0).peak_share));
}

static void assert_explained(const weft_sweep *sweep, bool larger, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_sweep_explain(sweep, larger, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

static void test_sweep_limits(void **state)
{
    (void)state;
    weft_sweep sweep;
    weft_sweep_row rows[SWEEP_ROWS];
    make_sweep(&sweep, rows, 2e9);
    assert_explained(
        &sweep, false,
        "the device limits: it reaches 0.12 of its peak while busy at 1, 0.25 at 2; the bubble takes 5.0 % "
        "of the step at 1, 10.0 % at 2");
    assert_explained(&sweep, true,
                     "the bubble limits: it takes 40.0 % of the step at 4, 10.0 % at 2; the device reaches 0.28 of its "
                     "peak while busy at 4, 0.25 at 2");
    sweep.peak = 0;
    assert_explained(&sweep, false,
                     "the device limits: it does 40 tokens/s while busy at 1, 80 at 2; the bubble takes 5.0 % of the "
                     "step at 1, 10.0 % at 2");
    rows[0].outcome = WEFT_SWEEP_NOT_RUN;
    assert_explained(&sweep, false, "nothing smaller was measured");
    rows[2].outcome = WEFT_SWEEP_TOO_LARGE;
    assert_explained(&sweep, true, "memory limits: 4 does not fit");
    rows[1].outcome = WEFT_SWEEP_NOT_RUN;
    assert_int_equal(weft_sweep_best(&sweep), -1);
    assert_int_equal(weft_sweep_limit(&sweep, true).row, -1);
}

/* Every file of a sweep, whatever part of it is known. */
static void test_sweep_files(void **state)
{
    (void)state;
    static void (*const writers[])(const weft_sweep *, weft_text *) = {weft_sweep_json, weft_sweep_csv, weft_sweep_svg,
                                                                       weft_sweep_text_end};
    weft_sweep sweep;
    weft_sweep_row rows[SWEEP_ROWS];
    for (int known = 3; known >= 0; known--) {
        make_sweep(&sweep, rows, known > 1 ? 2e9 : 0);
        for (int i = known; i < 3; i++) rows[i].outcome = WEFT_SWEEP_NOT_RUN, rows[i].has_prediction = i < 2;
        for (size_t w = 0; w < sizeof writers / sizeof *writers; w++) {
            weft_text text;
            weft_text_init(&text);
            writers[w](&sweep, &text);
            assert_false(text.failed);
            const char *wrote = weft_text_get(&text);
            assert_null(strstr(wrote, "nan"));
            if (w == 0) assert_int_equal(count_of(wrote, "\"outcome\": \"measured\""), known);
            if (w == 1) assert_int_equal(count_of(wrote, ",measured,"), known);
            if (w == 2) check_well_formed(wrote);
            if (w == 2) assert_int_equal(count_of(wrote, ", measured, at "), known * (known > 1 ? 4 : 2));
            if (w == 2) assert_int_equal(count_of(wrote, ">does not fit<"), 2); /* in both plots */
            weft_text_fini(&text);
        }
    }
    sweep.count = 1; /* one size has no scale to lie on */
    weft_text text;
    weft_text_init(&text);
    weft_sweep_svg(&sweep, &text);
    check_well_formed(weft_text_get(&text));
    assert_null(strstr(weft_text_get(&text), "nan"));
    weft_text_fini(&text);
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
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_step_json),
        cmocka_unit_test(test_numbers_come_back),
        cmocka_unit_test(test_evaluation_json),
        cmocka_unit_test(test_sweep_figures),
        cmocka_unit_test(test_sweep_limits),
        cmocka_unit_test(test_sweep_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
