/* Planning takes time in proportion to layers, ranks and workers: the work of twice as many is counted and compared. */
#include "count_blocks.h"
#include "train/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Twice as many may take so many times the work, over two doublings: what is linear, sorting, and a search for the best
 * split that happens to take some moves more. */
#define MOST 2.2

enum { OVERRIDES = 6 };

/* What doubles: %d in the overrides. stages: so many times it, of one layer each, since the search for the best split
 * has a limit of its own that would hide what grows; 0: searched. */
static const struct {
    const char *name, *overrides[OVERRIDES];
    int stages, from;
} cases[] = {
    {"layers", {"model.layers=%d"}, 0, 1024},
    {"layers, frozen", {"model.layers=%d", "optimizer.frozen=layer.0.* layer.1.*"}, 0, 1024},
    {"layers, recomputed, llama", {"model.layers=%d", "recompute=full", "model.architecture=llama"}, 0, 1024},
    {"layers, sharded", {"model.layers=%d", "parallel.data=4", "parallel.shard=weights"}, 0, 1024},
    {"layers, divided", {"model.layers=%d", "parallel.tensor=2"}, 0, 1024},
    {"layers over four stages", {"model.layers=%d", "parallel.pipeline=2", "parallel.loops=2"}, 0, 1024},
    {"ranks", {"parallel.pipeline=%d", "model.layers=%d"}, 1, 1024},
    {"ranks, 1f1b", {"parallel.pipeline=%d", "model.layers=%d", "parallel.schedule=1f1b"}, 1, 1024},
    {"ranks, gpipe", {"parallel.pipeline=%d", "model.layers=%d", "parallel.schedule=gpipe"}, 1, 1024},
    {"ranks, zb-h1", {"parallel.pipeline=%d", "model.layers=%d", "parallel.schedule=zb-h1"}, 1, 1024},
    {"ranks, zb-h2", {"parallel.pipeline=%d", "model.layers=%d", "parallel.schedule=zb-h2"}, 1, 1024},
    {"ranks, depth-first", {"parallel.pipeline=%d", "model.layers=%d", "parallel.schedule=depth-first"}, 1, 1024},
    {"ranks, sharded",
     {"parallel.pipeline=%d", "model.layers=%d", "parallel.data=2", "parallel.shard=weights", "parallel.reduce=early"},
     1,
     1024},
    {"loops", {"parallel.loops=%d", "model.layers=%d", "parallel.pipeline=1"}, 1, 1024},
    {"loops, sharded", {"parallel.loops=%d", "model.layers=%d", "parallel.data=2", "parallel.shard=weights"}, 1, 1024},
    {"data", {"parallel.data=%d", "parallel.shard=optimizer"}, 0, 4096},
    {"micro-batches", {"batch.microbatches=%d", "parallel.pipeline=2", "parallel.stages=[2,2]"}, 0, 1024},
};

static void add_stages(weft_text *out, int count)
{
    weft_text_add(out, "parallel: {stages: [");
    for (int i = 0; i < count; i++) weft_text_add(out, "%s1", i ? "," : "");
    weft_text_add(out, "]}\n");
}

static void load(weft_config *config, size_t c, int size)
{
    char overrides[OVERRIDES][64];
    const char *all[OVERRIDES];
    int count = 0;
    for (const char *of; count < OVERRIDES && (of = cases[c].overrides[count]); count++) {
        const char *place = strstr(of, "%d");
        all[count] = overrides[count];
        if (place)
            snprintf(overrides[count], sizeof overrides[count], "%.*s%d", (int)(place - of), of, size);
        else
            snprintf(overrides[count], sizeof overrides[count], "%s", of);
    }
    weft_error error;
    weft_error_clear(&error);
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "model: {width: 16, heads: 2, context: 16, vocabulary: 32}\n"
                         "data: {path: none}\nrun: {folder: none}\ndevice: reference\nthreads: 1\n");
    if (cases[c].stages) add_stages(&text, cases[c].stages * size);
    if (weft_config_load_text(config, weft_text_get(&text), text.length, "growth", all, count, &error) != WEFT_OK)
        fail_msg("%s: %s", cases[c].name, error.text);
    weft_text_fini(&text);
}

static uint64_t plan(size_t c, int size)
{
    weft_config config;
    weft_error error;
    weft_text text;
    weft_job *job = NULL;
    weft_error_clear(&error);
    load(&config, c, size);
    weft_text_init(&text);
    uint64_t before = count_blocks();
    if (weft_job_create(&config, &job, &error) != WEFT_OK) fail_msg("%s: %s", cases[c].name, error.text);
    weft_text notes;
    weft_text_init(&notes);
    weft_job_notes(job, &notes);
    weft_job_print(job, weft_text_get(&notes), &text);
    weft_job_print_json(job, weft_text_get(&notes), &text);
    weft_text_fini(&notes);
    uint64_t work = count_blocks() - before;
    weft_text_fini(&text);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return work;
}

static void test_growth(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint64_t once = plan(c, cases[c].from), twice = plan(c, 2 * cases[c].from), more = plan(c, 4 * cases[c].from);
        double first = (double)twice / (double)once, second = (double)more / (double)twice;
        printf("%-26s %9llu blocks at %d, x %.3f, x %.3f\n", cases[c].name, (unsigned long long)once, cases[c].from,
               first, second);
        assert_true(once > 1000);
        bad += first * second > MOST * MOST;
    }
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
