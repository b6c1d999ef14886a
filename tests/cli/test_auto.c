/* parallel.auto on a machine that is written down: what it chooses can be trained within the memory, keeps the batch
 * and what the user has set, uses all workers, and is never slower than what it would choose with more decided. */
#include "../config/words.h"
#include "../draw.h"
#include "cli/auto.h"
#include "plan/describe.h"
#include "plan/split.h"
#include "train/job.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLE = 100 };

static const char base[] = "model: {layers: 6, width: 32, heads: 4, feed_forward: 64, vocabulary: 300, context: 16}\n"
                           "device: reference\nthreads: 1\ndata: {path: none}\nrun: {folder: none}\n"
                           "parallel: {auto: true}\n";

/* Of random speed: layers, head, links. Sizes that are not there are by closed forms. */
static void make_machine(uint64_t *seed, weft_plan_layer_time *times, weft_plan_cluster *out)
{
    weft_plan_gpu gpu = *weft_plan_gpu_find("V100-SXM2-16GB");
    weft_plan_cluster_init(out, &gpu, weft_plan_software_find("weft"));
    out->gpu.link = 1e6 * (double)(1 + draw(seed, 1000));
    out->software.step = 1e-6;
    for (int i = 0; i < 3; i++) out->gpu.rings[i] = (weft_plan_ring){1e-5, 1e6 * (double)(1 + draw(seed, 1000))};
    for (int32_t i = 0; i < 4; i++) {
        int32_t tensor = 1 << i % 2, size = 1 << i / 2;
        double one = 1e-4 * (double)(1 + draw(seed, 9)) * size;
        times[i] = (weft_plan_layer_time){32, tensor, size, one, 2 * one, 1e-6, 1e-6, one, one, 0, false};
    }
    out->measured = times;
    out->measured_count = 4;
}

/* What a user may have said besides. */
static void draw_words(uint64_t *seed, words *w)
{
    static const char *const own[] = {"parallel.pipeline=2", "parallel.tensor=2",      "parallel.shard=optimizer",
                                      "recompute=full",      "parallel.schedule=1f1b", "batch.sequences=2",
                                      "parallel.loops=1",    "parallel.reduce=once",   "parallel.data=1"};
    static const char *const limits[] = {"1MiB", "1300KiB", "2MiB", "1GiB"};
    words_add(w, "parallel.workers=%d", 1 << draw(seed, 3));
    words_add(w, "batch.microbatches=%u", 4 + 4 * draw(seed, 3));
    words_add(w, "memory_limit=%s", limits[draw(seed, 4)]);
    for (uint32_t i = draw(seed, 3); i > 0; i--) words_add(w, "%s", own[draw(seed, sizeof own / sizeof *own)]);
}

/* The value of each word is in force. */
static void check_kept(const weft_config *config, const words *w)
{
    for (int i = 0; i < w->count; i++) {
        char key[WORD];
        const char *equals = strchr(w->text[i], '=');
        weft_text value;
        snprintf(key, sizeof key, "%.*s", (int)(equals - w->text[i]), w->text[i]);
        if (strcmp(key, "batch.microbatches") == 0 || strcmp(key, "memory_limit") == 0) continue;
        weft_text_init(&value);
        weft_config_value(config, key, &value);
        assert_string_equal(weft_text_get(&value), equals + 1);
        weft_text_fini(&value);
    }
}

static void check_choice(const weft_config *config, int64_t batch)
{
    weft_error error;
    weft_job *job = NULL;
    weft_error_clear(&error);
    assert_int_equal(weft_cli_auto_batch(config), batch);
    if (weft_job_create(config, &job, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_int_equal(job->workers, config->parallel.workers);
    for (int32_t r = 0; r < job->ranks; r++) assert_true(job->memory[r].total <= (size_t)config->memory_limit);
    weft_job_destroy(job);
}

static weft_status choose(const words *w, const weft_plan_cluster *machine, weft_config *config, double *step)
{
    weft_error error;
    weft_error_clear(&error);
    words_load(w, base, config);
    weft_status status = weft_cli_auto_plan(config, machine, step, &error);
    if (status != WEFT_OK) assert_int_equal(status, WEFT_INVALID);
    if (status != WEFT_OK) assert_non_null(strstr(error.text, "parallel.workers"));
    return status;
}

static void test_choices(void **state)
{
    (void)state;
    uint64_t seed = 7;
    int chosen = 0, refused = 0;
    for (int i = 0; i < SAMPLE; i++) {
        weft_plan_layer_time times[4];
        weft_plan_cluster machine;
        weft_config config, again, less;
        words w = {.count = 0}, fewer = {.count = 0};
        double step = 0, same = 0, best = 0;
        make_machine(&seed, times, &machine);
        draw_words(&seed, &w);
        for (int k = 0; k < 3; k++) words_add(&fewer, "%s", w.text[k]);
        words_load(&w, base, &again);
        int64_t batch = weft_cli_auto_batch(&again);
        weft_config_fini(&again);
        if (choose(&w, &machine, &config, &step) != WEFT_OK) {
            refused++;
            weft_config_fini(&config);
            continue;
        }
        chosen++;
        check_kept(&config, &w);
        check_choice(&config, batch);
        assert_int_equal(choose(&w, &machine, &again, &same), WEFT_OK);
        assert_true(same == step && again.batch.sequences == config.batch.sequences);
        words_load(&fewer, base, &less);
        bool comparable = weft_cli_auto_batch(&less) == batch;
        weft_config_fini(&less);
        if (comparable) {
            assert_int_equal(choose(&fewer, &machine, &less, &best), WEFT_OK);
            assert_true(best <= step);
            weft_config_fini(&less);
        }
        weft_config_fini(&config);
        weft_config_fini(&again);
    }
    print_message("%d chosen, %d refused\n", chosen, refused);
    assert_true(chosen > SAMPLE / 4 && refused > 0);
}

/* What stands in the file is older than parallel.auto on the command line, and not older than in the same file. */
static void test_who_wins(void **state)
{
    (void)state;
    static const char *const files[] = {"parallel: {auto: true, workers: 2, pipeline: 2}", "parallel: {pipeline: 2}"};
    static const int64_t pipelines[] = {2, 1};
    for (int i = 0; i < 2; i++) {
        char text[400];
        uint64_t seed = 1;
        double step = 0;
        weft_plan_layer_time times[4];
        weft_plan_cluster machine;
        weft_config config;
        weft_error error;
        static const char *const overrides[] = {"parallel.auto=true", "parallel.workers=2"};
        weft_error_clear(&error);
        make_machine(&seed, times, &machine);
        machine.gpu.link = 1; /* a pipeline is the last thing to want */
        machine.gpu.rings[0] = (weft_plan_ring){1e-6, 1e12};
        snprintf(text, sizeof text, "%.*s%s\n", (int)(strstr(base, "parallel:") - base), base, files[i]);
        assert_int_equal(weft_config_load_text(&config, text, strlen(text), "test", overrides, i == 0 ? 0 : 2, &error),
                         WEFT_OK);
        assert_int_equal(weft_cli_auto_plan(&config, &machine, &step, &error), WEFT_OK);
        assert_int_equal(config.parallel.pipeline, pipelines[i]);
        weft_config_fini(&config);
    }
}

/* With measured layers, computing them again takes a forward pass more. */
static void test_again_takes_time(void **state)
{
    (void)state;
    uint64_t seed = 3;
    weft_plan_layer_time times[4];
    weft_plan_cluster machine;
    double step[2];
    static const char *const recompute[] = {"none", "full"};
    make_machine(&seed, times, &machine);
    for (int i = 0; i < 2; i++) {
        weft_config config;
        words w = {.count = 0};
        words_add(&w, "parallel.workers=1");
        words_add(&w, "batch.sequences=1");
        words_add(&w, "recompute=%s", recompute[i]);
        assert_int_equal(choose(&w, &machine, &config, &step[i]), WEFT_OK);
        weft_config_fini(&config);
    }
    assert_true(fabs(step[1] - step[0] - 8 * 6 * times[0].forward) < 1e-9);
}

/* Without a pipeline weft reduces all gradients after the last pass, and gathers weights that it divides once: nothing
 * of it is hidden. */
static void test_alone_nothing_is_hidden(void **state)
{
    (void)state;
    static const char *const shards[] = {"none", "weights"};
    uint64_t seed = 5;
    weft_plan_layer_time times[4];
    weft_plan_cluster machine;
    double step[2], moved = 0;
    make_machine(&seed, times, &machine);
    for (int i = 0; i < 2; i++) {
        weft_config config;
        words w = {.count = 0};
        words_add(&w, "parallel.workers=2");
        words_add(&w, "parallel.data=2");
        words_add(&w, "batch.microbatches=4");
        words_add(&w, "batch.sequences=1");
        words_add(&w, "parallel.shard=%s", shards[i]);
        assert_int_equal(choose(&w, &machine, &config, &step[i]), WEFT_OK);
        assert_int_equal(config.batch.microbatches, 4);
        weft_config_fini(&config);
    }
    double passes = 4 * (3 * times[0].forward * 6 + 2 * times[0].forward + 2e-6);
    moved = step[0] - passes - machine.software.step;
    assert_true(moved > 0 && step[0] > passes);
    assert_true(fabs(step[1] - step[0]) < 0.5 * moved); /* one gather and half a sum, not one a micro-batch */
}

/* A pipeline of two that is decided but for its layers, on a machine whose links take no time. With stages these, too.
 */
static void choose_layers(weft_plan_layer_time *time, const char *limit, const char *stages, weft_config *out,
                          double *out_step)
{
    uint64_t seed = 1;
    weft_plan_layer_time unused[4];
    weft_plan_cluster machine;
    words w = {.count = 0};
    make_machine(&seed, unused, &machine);
    machine.gpu.link = 1e12;
    machine.near_message_start = 0;
    machine.measured = time;
    machine.measured_count = 1;
    words_add(&w, "parallel.workers=2");
    words_add(&w, "parallel.pipeline=2");
    words_add(&w, "%s", stages ? stages : "parallel.loops=2");
    words_add(&w, "parallel.schedule=breadth-first");
    words_add(&w, "batch.sequences=1");
    words_add(&w, "batch.microbatches=4");
    words_add(&w, "recompute=none");
    words_add(&w, "memory_limit=%s", limit);
    assert_int_equal(choose(&w, &machine, out, out_step), WEFT_OK);
    assert_int_equal(out->parallel.stages.count, 4);
}

static double simulate(const weft_split_problem *problem, const int32_t *layers)
{
    double step = 0;
    weft_error error;
    weft_error_clear(&error);
    assert_int_equal(weft_split_evaluate(problem, layers, &step, NULL, &error), WEFT_OK);
    return step;
}

/* Of all ways to divide six layers over four stages. */
static double shortest(const weft_split_problem *problem)
{
    double best = INFINITY;
    for (int32_t a = 0; a <= 6; a++)
        for (int32_t b = 0; a + b <= 6; b++)
            for (int32_t c = 0; a + b + c <= 6; c++)
                best = fmin(best, simulate(problem, (const int32_t[]){a, b, c, 6 - a - b - c}));
    return best;
}

/* What layers, embedding and head were measured to take decides how the layers are divided, and no other division is
 * better by half a layer. */
static void test_layers_go_by_what_they_take(void **state)
{
    (void)state;
    static const double layer = 1e-3, edges[][2] = {{0.01, 0.01}, {0.01, 1.5}, {0.01, 3.5}, {0.01, 8}, {3.5, 0.01}};
    weft_schedule_options options = {.kind = "breadth-first", .ranks = 2, .loops = 2, .microbatches = 4};
    weft_error error;
    weft_schedule *schedule = NULL;
    weft_error_clear(&error);
    assert_int_equal(weft_schedule_create(&options, &schedule, &error), WEFT_OK);
    int64_t last_before = INT64_MAX, first = 0;
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        double embedding = edges[i][0] * layer, head = edges[i][1] * layer, step = 0;
        weft_plan_layer_time time = {32, 1, 1, layer, 2 * layer, embedding, 2 * embedding, head, 2 * head, 0, false};
        weft_layer_cost layers[6];
        for (int l = 0; l < 6; l++) layers[l] = (weft_layer_cost){layer, 2 * layer, 0, 0};
        weft_split_problem problem = {.schedule = schedule,
                                      .layers = layers,
                                      .layer_count = 6,
                                      .embedding = {embedding, 2 * embedding, 0, 0},
                                      .head = {head, 2 * head, 0, 0}};
        weft_config config;
        int32_t chosen[4];
        choose_layers(&time, "1GiB", NULL, &config, &step);
        for (int s = 0; s < 4; s++) chosen[s] = (int32_t)config.parallel.stages.values[s];
        assert_true(simulate(&problem, chosen) < shortest(&problem) + layer / 2);
        if (i < 4) assert_true(chosen[3] <= last_before);
        last_before = chosen[3];
        if (i == 0) first = chosen[0];
        if (i == 2) assert_true(chosen[3] < 1);
        if (i == 4) assert_true(chosen[0] < first);
        weft_config_fini(&config);
    }
    weft_schedule_destroy(schedule);
}

/* Where only evenly divided layers fit, they are that. */
static void test_layers_go_evenly_for_memory(void **state)
{
    (void)state;
    static const double layer = 1e-3;
    static const int64_t evenly[] = {2, 2, 1, 1};
    weft_plan_layer_time time = {32, 1, 1, layer, 2 * layer, 0, 0, 8 * layer, 16 * layer, 0, false};
    weft_config config;
    weft_error error;
    weft_job *job = NULL;
    size_t most = 0;
    double divided = 0, even = 0;
    char limit[32];
    weft_error_clear(&error);
    choose_layers(&time, "1GiB", NULL, &config, &divided);
    assert_int_equal(weft_job_create(&config, &job, &error), WEFT_OK);
    for (int32_t r = 0; r < job->ranks; r++)
        if (job->memory[r].total > most) most = job->memory[r].total;
    weft_job_destroy(job);
    weft_config_fini(&config);
    snprintf(limit, sizeof limit, "%zu", most - 1);
    choose_layers(&time, limit, NULL, &config, &even);
    assert_memory_equal(config.parallel.stages.values, evenly, sizeof evenly);
    assert_true(even > divided);
    check_choice(&config, 4);
    weft_config_fini(&config);
}

/* Layers that the user has divided are predicted as they are divided: what is chosen as it was chosen, every other way
 * by what it is longer. */
static void test_layers_of_the_user(void **state)
{
    (void)state;
    static const double layer = 1e-3;
    static const char *const others[] = {"parallel.stages=[0,0,0,6]", "parallel.stages=[2,2,1,1]"};
    weft_plan_layer_time time = {32, 1, 1, layer, 2 * layer, 0, 0, 3 * layer, 6 * layer, 0, false};
    weft_config config;
    weft_text same;
    double chosen = 0, again = 0, step[2];
    choose_layers(&time, "1GiB", NULL, &config, &chosen);
    weft_text_init(&same);
    weft_text_add(&same, "parallel.stages=");
    weft_config_value(&config, "parallel.stages", &same);
    weft_config_fini(&config);
    choose_layers(&time, "1GiB", weft_text_get(&same), &config, &again);
    weft_text_fini(&same);
    weft_config_fini(&config);
    assert_true(fabs(again / chosen - 1) < 1e-9);
    for (int i = 0; i < 2; i++) {
        choose_layers(&time, "1GiB", others[i], &config, &step[i]);
        weft_config_fini(&config);
    }
    assert_true(step[1] > chosen + layer && step[0] > 4 * (6 + 3) * 3 * layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choices),
                                       cmocka_unit_test(test_who_wins),
                                       cmocka_unit_test(test_again_takes_time),
                                       cmocka_unit_test(test_alone_nothing_is_hidden),
                                       cmocka_unit_test(test_layers_go_by_what_they_take),
                                       cmocka_unit_test(test_layers_go_evenly_for_memory),
                                       cmocka_unit_test(test_layers_of_the_user)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
