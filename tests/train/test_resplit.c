/* How layers would be divided by measured costs: what layers and the head cost is found again, and what comes of it is
 * the best there is. */
#include "plan/split.h"
#include "train/resplit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { S = 4, L = 8 };

static const char base[] = "model: {layers: 8, width: 32, heads: 4, vocabulary: 301, context: 16}\n"
                           "batch: {microbatches: 8, sequences: 2}\n"
                           "parallel: {pipeline: 2, loops: 2, schedule: breadth-first}\n"
                           "device: reference\nthreads: 1\ndata: {path: none}\nrun: {folder: none}\n";

/* What was measured: seconds of a layer, and of the head in layers. */
typedef struct measured {
    double forward[S], input[S], weight[S], update[S];
    weft_costs costs;
} measured;

static weft_job *make(weft_config *config, const char *override)
{
    weft_error error;
    weft_job *job = NULL;
    weft_error_clear(&error);
    if (weft_config_load_text(config, base, sizeof base - 1, "test", &override, 1, &error) != WEFT_OK ||
        weft_job_create(config, &job, &error) != WEFT_OK)
        fail_msg("%s: %s", override, error.text);
    return job;
}

static void measure(const weft_job *job, double head, measured *out)
{
    for (int s = 0; s < S; s++) {
        double layers = job->stages[s].layer_count, more = s == S - 1 ? head : 0;
        out->forward[s] = 1.25 * layers + 2 * more + (s == 0 ? 0.0625 : 0);
        out->input[s] = out->weight[s] = 1.5 * layers + more;
        out->update[s] = 0.5 * layers;
    }
    out->costs = (weft_costs){
        .forward = out->forward, .backward_input = out->input, .backward_weight = out->weight, .update = out->update};
}

static weft_resplit resplit(const weft_job *job, double head, int32_t layers[S], bool *known)
{
    weft_error error;
    measured found;
    weft_resplit out = {.layers = layers};
    measure(job, head, &found);
    if (weft_job_resplit(job, &found.costs, &out, known, &error) != WEFT_OK) fail_msg("%s", error.text);
    return out;
}

/* From whatever split the costs were measured with, the same one is found, and it is no worse than the split itself;
 * measured with that, nothing is left to gain. */
static void test_best(void **state)
{
    (void)state;
    static const char *const splits[] = {"parallel.stages=[2,2,2,2]", "parallel.stages=[0,4,4,0]",
                                         "parallel.stages=[5,1,1,1]", "parallel.stages=[1,3,3,1]"};
    static const double heads[] = {0, 1, 5};
    for (size_t h = 0; h < sizeof heads / sizeof *heads; h++) {
        int32_t wanted[S], layers[S];
        for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
            weft_config config;
            bool known = false;
            weft_job *job = make(&config, splits[i]);
            weft_resplit found = resplit(job, heads[h], layers, &known);
            assert_true(known && found.then <= found.now);
            assert_int_equal(layers[0] + layers[1] + layers[2] + layers[3], L);
            if (i == 0) memcpy(wanted, layers, sizeof wanted);
            assert_memory_equal(layers, wanted, sizeof wanted);
            weft_job_destroy(job);
            weft_config_fini(&config);
        }
        char again[64];
        weft_config config;
        bool known = false;
        snprintf(again, sizeof again, "parallel.stages=[%d,%d,%d,%d]", (int)wanted[0], (int)wanted[1], (int)wanted[2],
                 (int)wanted[3]);
        weft_job *job = make(&config, again);
        weft_resplit found = resplit(job, heads[h], layers, &known);
        assert_true(known && fabs(found.then - found.now) < 1e-9);
        weft_job_destroy(job);
        weft_config_fini(&config);
    }
}

/* Where all layers are with the head, or some weights are frozen, what a layer costs cannot be told. */
static void test_unknown(void **state)
{
    (void)state;
    static const char *const overrides[] = {"parallel.stages=[0,0,0,8]", "optimizer.frozen=layer.1.*"};
    for (size_t i = 0; i < sizeof overrides / sizeof *overrides; i++) {
        weft_config config;
        int32_t layers[S];
        bool known = true;
        weft_job *job = make(&config, overrides[i]);
        resplit(job, 1, layers, &known);
        assert_false(known);
        weft_job_destroy(job);
        weft_config_fini(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_best), cmocka_unit_test(test_unknown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
