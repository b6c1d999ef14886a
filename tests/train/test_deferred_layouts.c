/*
 * Usage: test_deferred_layouts TRANSPORT FOLDER SEEDS STRIDE
 *
 * Layouts on a device that works late and whose memory the host cannot touch have the bits of the reference: every
 * STRIDE-th of them, at so many orders in which the device works.
 */
#include "deferred.h"
#include "layouts.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const small[] = {"model.layers=4",        "model.width=16",         "model.heads=2",
                                    "model.feed_forward=32", "batch.tokens=8",         "run.steps=3",
                                    "model.tied=true",       "run.evaluate_batches=1", NULL};

static const char *const calibrated[] = {"batch.tokens=8",        "model.layers=4", "model.width=16",  "model.heads=2",
                                         "model.feed_forward=32", "run.steps=2",    "model.tied=true", NULL};

static int seeds;

static void take_turns(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    if (setenv(name, text, 1) != 0) abort();
}

static void run_orders(test_suite *suite, const test_layout *layout, const test_run *base)
{
    if (!test_suite_takes(suite, layout)) return;
    for (suite->turn = 0; suite->turn < seeds; suite->turn++) {
        take_turns("WEFT_DEFERRED_SEED", suite->seen + suite->turn);
        test_suite_compare(suite, layout, base->model, base);
    }
}

static void run_widths(test_suite *suite, int data, int tensor, const char *element)
{
    if (!test_suite_pipelines_come(suite, data, tensor, element)) return;
    test_run base = test_suite_baseline(suite, data, tensor, element, small);
    test_suite_pipelines(suite, &base, data, tensor, element, run_orders);
}

/* A shared weight whose gradients go round in more chunks than there is room for: one comes to where another was added.
 */
static void run_pieces(test_suite *suite)
{
    static const char *const large[] = {"model.vocabulary=70000", "model.layers=2",  "model.width=16",
                                        "model.heads=2",          "batch.tokens=8",  "run.steps=2",
                                        "batch.microbatches=1",   "model.tied=true", NULL};
    test_layout layout = {"1f1b", 1, 2, 1, "none", "once", 1, "fp32", "none", 1};
    test_run base = test_suite_baseline(suite, 1, 1, "fp32", large);
    run_orders(suite, &layout, &base);
}

/* What parts of a step cost is timed before the first one, and leaves nothing behind. */
static void run_calibration(test_suite *suite, const test_layout *layout)
{
    char name[256], why[512] = "";
    weft_error error;
    test_run base = test_suite_baseline(suite, layout->data, layout->tensor, layout->element, calibrated);
    test_run run = {.model = calibrated, .device = suite->device, .poisons = true, .calibrate_seconds = 1e-3};
    test_layout_name(layout, name, sizeof name);
    snprintf(run.folder, sizeof run.folder, "%s/calibrated-%s", suite->folder, name);
    take_turns("WEFT_DEFERRED_SEED", 2);
    if (test_layout_train(&run, suite->corpus, layout, suite->transport, 0, &error) != WEFT_OK)
        test_suite_check(suite, false, name, error.text);
    else
        test_suite_check(suite, test_runs_agree(&base, &run, why, sizeof why), name, why);
}

int main(int argc, char **argv)
{
    test_suite suite;
    if (argc != 5 || !test_suite_begin(&suite, argv[1], argv[2])) return 2;
    suite.device = "deferred";
    seeds = atoi(argv[3]);
    suite.stride = atoi(argv[4]);
    run_widths(&suite, 1, 1, "fp32");
    run_widths(&suite, 2, 1, "bf16");
    run_widths(&suite, 1, 2, "fp32");
    run_widths(&suite, 2, 2, "bf16");
    suite.stride = 1;
    run_pieces(&suite);
    run_calibration(&suite, &(test_layout){"breadth-first", 2, 2, 2, "weights", "early", 1, "fp32", "none", 1});
    run_calibration(&suite, &(test_layout){"breadth-first", 1, 2, 2, "none", "once", 1, "fp32", "none", 2});
    return test_suite_end(&suite);
}
