/*
 * The promise of the same bits: every schedule, pipeline length, loop count, transport and recomputation choice leaves
 * the losses and the checkpoint of the one-worker run, bit for bit.
 *
 * Usage: test_layouts local FOLDER [STRIDE], or under mpirun -n P: test_layouts mpi FOLDER [STRIDE], which runs the
 * layouts of P workers. With STRIDE every STRIDE-th layout alone.
 */
#include "layouts.h"

#include <stdio.h>
#include <string.h>

static const char *const schedules[] = {"sequential",
                                        "gpipe",
                                        "1f1b",
                                        "depth-first",
                                        "depth-first-gaps",
                                        "breadth-first",
                                        "hybrid",
                                        "zb-h1",
                                        "zb-h2",
                                        "interleaved-zero-bubble",
                                        "interleaved-zero-bubble-gaps",
                                        "breadth-first-split",
                                        "zb-v",
                                        "dualpipe-v",
                                        "v-half",
                                        "v-min"};
static const char *const elements[] = {"fp32", "bf16"};
static const char *const recomputes[] = {"none", "full"};

/* Kinds on a v have two stages a rank, and one asks for twice as many micro-batches as ranks: there are six. */
static bool fits(const char *schedule, int ranks, int loops)
{
    static const struct {
        const char *schedule;
        int most_ranks;
    } on_v[] = {{"zb-v", 4}, {"dualpipe-v", 3}, {"v-half", 4}, {"v-min", 4}};
    for (size_t i = 0; i < sizeof on_v / sizeof *on_v; i++)
        if (strcmp(schedule, on_v[i].schedule) == 0) return loops == 2 && ranks <= on_v[i].most_ranks;
    return true;
}

static void run_ranks(test_suite *self, const test_run *base, const char *element, int ranks)
{
    for (size_t s = 0; s < sizeof schedules / sizeof *schedules; s++)
        for (int loops = 1; loops <= 2; loops++)
            for (size_t r = 0; r < 2 && fits(schedules[s], ranks, loops); r++) {
                test_layout l = {schedules[s], 1, ranks, loops, "none", "once", 2, element, recomputes[r], 1};
                test_suite_compare_model(self, &l, base);
            }
}

/* Kinds that go with every list. */
static const char *const listed[] = {"sequential",    "gpipe",  "depth-first",         "depth-first-gaps",
                                     "breadth-first", "hybrid", "breadth-first-split", "interleaved-zero-bubble"};

/* "parallel.placement=0,1,0,1,0" */
static void list_head(int ranks, int loops, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "parallel.placement=");
    for (int s = 0; s < ranks * loops; s++) used += (size_t)snprintf(out + used, size - used, "%d,", s % ranks);
    snprintf(out + used, size - used, "0");
}

/* The head as a stage of its own on the rank of the embedding, where a tied one shares its weights: one loop and two in
 * turn. */
static void run_heads(test_suite *self, const test_run *base, const char *element, const char *tied, int data)
{
    for (size_t s = 0; s < sizeof listed / sizeof *listed; s++)
        for (int ranks = 2; ranks * data <= 4; ranks *= 2) {
            char list[80];
            const char *model[] = {tied, list, NULL};
            const char *shard = data == 1 ? "none" : s % 2 ? "weights" : "optimizer";
            test_layout l = {listed[s], data, ranks, 1, shard, "once", 2, element, recomputes[s / 2 % 2], 1};
            list_head(ranks, 1 + (ranks / 2 + (int)s) % 2, list, sizeof list);
            if (test_suite_takes(self, &l)) test_suite_compare(self, &l, model, base);
        }
}

static void run_all_heads(test_suite *self, const char *element)
{
    static const char *const tied[] = {"model.tied=true", "model.tied=false"};
    for (size_t t = 0; t < 2; t++)
        for (int data = 1; data <= 2; data++) {
            const char *model[] = {tied[t], NULL};
            test_run base = test_suite_baseline(self, data, 1, element, model);
            run_heads(self, &base, element, tied[t], data);
        }
}

/* Micro-batches of 130 rows: of so many own kernels make all products in bf16, of 32 the gradients of weights alone. */
static void run_many_rows(test_suite *self)
{
    static const char *const model[] = {"model.context=65", NULL};
    if (!test_suite_pipelines_come(self, 1, 1, "bf16")) return;
    test_run base = test_suite_baseline(self, 1, 1, "bf16", model);
    test_suite_pipelines(self, &base, 1, 1, "bf16", test_suite_compare_model);
}

int main(int argc, char **argv)
{
    test_suite self;
    if (!test_suite_begin_arguments(&self, argc, argv)) return 2;
    for (size_t e = 0; e < sizeof elements / sizeof *elements; e++) {
        test_run base = test_suite_baseline(&self, 1, 1, elements[e], NULL);
        test_suite_check(&self, base.losses[6] < base.losses[1], base.folder, "the baseline does not learn");
        for (int ranks = 1; ranks <= 4; ranks *= 2) run_ranks(&self, &base, elements[e], ranks);
        run_all_heads(&self, elements[e]);
    }
    run_many_rows(&self);
    return test_suite_end(&self);
}
