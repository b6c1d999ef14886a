/*
 * Layouts on a GPU have the bits of one worker there: every schedule, pipeline length, shard and, within a width,
 * tensor and data parallelism, between threads and between processes, whose device memory staged/ carries over.
 *
 * Usage: test_layouts local FOLDER [STRIDE], or under mpirun -n P: test_layouts mpi FOLDER [STRIDE]. On the emulator
 * its environment says in which order streams and threads run.
 */
#include "layouts.h"

static const char *const small[] = {"model.layers=4",        "model.width=16",         "model.heads=2",
                                    "model.feed_forward=32", "batch.tokens=8",         "run.steps=2",
                                    "model.tied=true",       "run.evaluate_batches=1", NULL};

/* Attention in blocks on tensor cores. */
static const char *const wide[] = {"model.layers=2",
                                   "model.width=128",
                                   "model.heads=2",
                                   "model.feed_forward=128",
                                   "model.context=24",
                                   "batch.tokens=24",
                                   "run.steps=2",
                                   "batch.microbatches=2",
                                   NULL};

static void run_widths(test_suite *suite, int data, int tensor, const char *element)
{
    if (!test_suite_pipelines_come(suite, data, tensor, element)) return;
    test_run base = test_suite_baseline(suite, data, tensor, element, small);
    test_suite_check(suite, base.losses[2] < base.losses[1], base.folder, "the baseline does not learn");
    test_suite_pipelines(suite, &base, data, tensor, element, test_suite_compare_model);
}

int main(int argc, char **argv)
{
    test_suite suite;
    if (!test_suite_begin_arguments(&suite, argc, argv)) return 2;
    suite.device = suite.baseline = "cuda";
    run_widths(&suite, 1, 1, "fp32");
    run_widths(&suite, 2, 1, "bf16");
    run_widths(&suite, 1, 2, "bf16");
    run_widths(&suite, 2, 2, "fp32");
    test_layout blocks = {"1f1b", 1, 2, 1, "none", "once", 1, "bf16", "none", 1};
    test_run base = test_suite_baseline(&suite, 1, 1, "bf16", wide);
    suite.stride = 1;
    test_suite_compare_model(&suite, &blocks, &base);
    return test_suite_end(&suite);
}
