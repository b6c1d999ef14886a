/* parallel.placement: auto of whole configurations: what is predicted follows from closed forms, no choice is worse
 * than the schedule's own placement or needs more than memory_limit, and what is written says the same again. */
#include "../config/words.h"
#include "../draw.h"
#include "train/job.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char base[] = "device: reference\nthreads: 1\ndata: {path: none}\nrun: {folder: none}\n";

static void load(weft_config *config, const words *w, const char *placement)
{
    words all = *w;
    words_add(&all, "parallel.placement=%s", placement);
    words_load(&all, base, config);
}

static void add_model(words *w, int layers, int width, int heads, int context)
{
    words_add(w, "model.layers=%d", layers);
    words_add(w, "model.width=%d", width);
    words_add(w, "model.heads=%d", heads);
    words_add(w, "model.context=%d", context);
    words_add(w, "model.vocabulary=50257");
}

static void place(weft_config *config, weft_text *said)
{
    weft_error error;
    if (weft_job_place(config, said, &error) != WEFT_OK) fail_msg("%s", error.text);
}

/* What a job of the configuration is predicted, and the most that a worker needs; 0: it is refused. */
static double predict(const weft_config *config, size_t *out_need)
{
    weft_error error;
    weft_job *job = NULL;
    *out_need = 0;
    if (weft_job_create(config, &job, &error) != WEFT_OK) return 0;
    double efficiency = job->predicted_efficiency;
    for (int32_t r = 0; r < job->ranks; r++)
        if (job->memory[r].total > *out_need) *out_need = job->memory[r].total;
    weft_job_destroy(job);
    return efficiency;
}

static double all_of(weft_flops flops)
{
    return flops.forward + flops.backward_input + flops.backward_weight;
}

/* Flops of a micro-batch in a layer and in the head. */
static void weigh(const weft_config *config, double *layer, double *head)
{
    *layer = all_of(weft_layer_flops(&config->model, config->batch.sequences, config->batch.tokens));
    *head = all_of(weft_head_flops(&config->model, config->batch.sequences, config->batch.tokens));
}

static void assert_close(double a, double b)
{
    if (fabs(a - b) > 1e-9 * fabs(b)) fail_msg("%.12g is not %.12g", a, b);
}

/* As many layers as stages. Of a looped placement the last rank has the head of each micro-batch on its way, between
 * the passes of M V layers and those of P - 1 more until the pipeline is full and empty again. Apart, on the rank that
 * starts first, there is room for all heads but the last one's in what it would wait at the end, M h < (P - 1) l. */
static void test_52b(void **state)
{
    (void)state;
    words w = {.count = 0};
    const double P = 16, V = 4, M = 16, L = 64;
    double layer = 0, head = 0;
    weft_config own, chosen;
    weft_text said;
    size_t need = 0;
    weft_text_init(&said);
    add_model(&w, 64, 8192, 64, 2048);
    words_add(&w, "batch.microbatches=16");
    words_add(&w, "parallel.pipeline=16");
    words_add(&w, "parallel.loops=4");
    load(&own, &w, "own");
    load(&chosen, &w, "auto");
    weigh(&own, &layer, &head);
    double step = (M * V + P - 1) * layer, work = M * (L * layer + head);
    assert_true(M * head < (P - 1) * layer);
    assert_close(predict(&own, &need), work / (P * (step + M * head)));
    place(&chosen, &said);
    assert_close(predict(&chosen, &need), work / (P * (step + head)));
    assert_non_null(strstr(weft_text_get(&said), "auto takes loop with 4 loops and the head"));
    print_message("%s", weft_text_get(&said));
    weft_text_fini(&said);
    weft_config_fini(&own);
    weft_config_fini(&chosen);
}

/* Two ranks of whole layers, of which one has the head: no step is shorter than the work of either. */
static double best_halves(double layers, double layer, double head)
{
    double best = 0;
    for (double k = 0; k <= layers; k++) {
        double with = k * layer + head, without = (layers - k) * layer;
        best = fmax(best, (with + without) / 2 / fmax(with, without));
    }
    return best;
}

static void check_gpt2(int tokens, bool apart, double layers_with_head)
{
    words w = {.count = 0};
    double layer = 0, head = 0;
    weft_config own, chosen;
    weft_text said;
    size_t need = 0;
    weft_text_init(&said);
    add_model(&w, 12, 768, 12, 1024);
    words_add(&w, "batch.tokens=%d", tokens);
    words_add(&w, "parallel.pipeline=2");
    words_add(&w, "parallel.loops=2");
    load(&own, &w, "own");
    load(&chosen, &w, "auto");
    weigh(&own, &layer, &head);
    place(&chosen, &said);
    print_message("%s", weft_text_get(&said));
    double with = layers_with_head * layer + head, before = predict(&own, &need), after = predict(&chosen, &need);
    assert_close(after, (12 * layer + head) / 2 / with);
    assert_true(after <= best_halves(12, layer, head) * (1 + 1e-9));
    assert_string_equal(chosen.parallel.placement, apart ? "0,1,0,1,0" : "loop");
    assert_int_equal(chosen.parallel.loops, apart ? 1 : 2);
    if (apart) assert_true(after > before * 1.01 && after >= best_halves(12, layer, head) * (1 - 1e-9));
    if (!apart) assert_true(after == before);
    weft_text_fini(&said);
    weft_config_fini(&own);
    weft_config_fini(&chosen);
}

/* 4 layers and the head are more than half of the work at either length, by less at the longer one, since the head
 * knows no attention. The rank that has them never waits: at T = 512 so with the head behind other layers, at 1024
 * apart alone. */
static void test_gpt2(void **state)
{
    (void)state;
    check_gpt2(1024, true, 4);
    check_gpt2(512, false, 4);
}

/* A list of so many ranks is longer than its key may be, and a layer for each stage there is already. */
static void test_no_other(void **state)
{
    (void)state;
    words w = {.count = 0};
    weft_config config;
    weft_text said;
    weft_text_init(&said);
    words_add(&w, "model.layers=1");
    words_add(&w, "batch.microbatches=1");
    words_add(&w, "parallel.schedule=gpipe");
    words_add(&w, "parallel.pipeline=%d", WEFT_CONFIG_PLACEMENT / 5);
    load(&config, &w, "auto");
    place(&config, &said);
    assert_string_equal(config.parallel.placement, "linear");
    assert_non_null(strstr(weft_text_get(&said), " predicted, and there is no other to try\n"));
    weft_text_fini(&said);
    weft_config_fini(&config);
}

static void draw_words(uint64_t *seed, words *w)
{
    static const char *const schedules[] = {"gpipe", "breadth-first", "depth-first", "breadth-first-split", "1f1b"};
    words_add(w, "model.layers=%u", 1 + draw(seed, 9));
    words_add(w, "model.width=%u", 8 << draw(seed, 2));
    words_add(w, "model.heads=2");
    words_add(w, "model.context=8");
    words_add(w, "model.vocabulary=%u", 16 << draw(seed, 6));
    words_add(w, "model.tied=%s", draw(seed, 2) ? "true" : "false");
    words_add(w, "batch.microbatches=%u", 1 + draw(seed, 6));
    words_add(w, "parallel.pipeline=%u", 1 + draw(seed, 3));
    words_add(w, "parallel.schedule=%s", schedules[draw(seed, 5)]);
    if (draw(seed, 3) == 0) words_add(w, "parallel.data=2");
    if (draw(seed, 3) == 0) words_add(w, "recompute=full");
}

/* The same configuration, as it is written, leads to the same job. */
static void check_written(const weft_config *config, double efficiency)
{
    weft_text dump;
    weft_config again;
    weft_error error;
    size_t need = 0;
    weft_text_init(&dump);
    weft_config_dump(config, true, &dump);
    assert_int_equal(weft_config_load_text(&again, weft_text_get(&dump), dump.length, "dump", NULL, 0, &error),
                     WEFT_OK);
    assert_string_equal(again.parallel.placement, config->parallel.placement);
    assert_true(predict(&again, &need) == efficiency);
    weft_config_fini(&again);
    weft_text_fini(&dump);
}

static void test_random(void **state)
{
    (void)state;
    uint64_t seed = 4;
    int better = 0, limited = 0, refused = 0, cases = 120;
    for (int i = 0; i < cases; i++) {
        words w = {.count = 0};
        weft_config own, chosen, tight;
        weft_text said;
        size_t own_need = 0, need = 0, tight_need = 0;
        weft_text_init(&said);
        draw_words(&seed, &w);
        load(&own, &w, "own");
        load(&chosen, &w, "auto");
        load(&tight, &w, "auto");
        place(&chosen, &said);
        double before = predict(&own, &own_need), after = predict(&chosen, &need);
        assert_true(before > 0 && after >= before);
        better += after > before;
        check_written(&chosen, after);
        /* With less than that needs something else is taken, where anything fits. */
        tight.memory_limit = own.memory_limit = (int64_t)need - 1;
        place(&tight, &said);
        double squeezed = predict(&tight, &tight_need);
        assert_true(tight_need <= (size_t)tight.memory_limit && squeezed >= predict(&own, &own_need));
        limited += squeezed > 0;
        refused += squeezed == 0;
        assert_true(strcmp(tight.parallel.placement, "auto") != 0);
        weft_text_fini(&said);
        weft_config_fini(&own);
        weft_config_fini(&chosen);
        weft_config_fini(&tight);
    }
    print_message("%d of %d better, %d fit into less, %d do not\n", better, cases, limited, refused);
    assert_true(better > 0 && limited > 0 && refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_52b),
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
