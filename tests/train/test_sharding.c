/*
 * Data parallelism: for a fixed width, whatever the workers divide, the schedule, the pipeline, its loops and the
 * transport leave the same losses and checkpoints, bit for bit; early reductions agree within rounding; and the width
 * itself changes no more than that. Pages of weights and gradients hold no numbers but while their stage is there. A
 * calibration before the first step leaves no trace in the bits.
 *
 * Usage: test_sharding local FOLDER [STRIDE], or under mpirun -n N: test_sharding mpi FOLDER [STRIDE], which runs the
 * layouts of N workers. With STRIDE every STRIDE-th layout alone.
 */
#include "layouts.h"

#include <stdio.h>
#include <string.h>

/* Called by the thread of rank 0. */
static weft_status check_costs(void *context, const weft_calibration *told, weft_error *error)
{
    test_run *run = context;
    const weft_costs *costs = &told->costs;
    if (run->steps > 0) FAIL(error, WEFT_FAILED, "calibrated after the first step");
    for (int s = 0; s < run->calibrated_stages; s++) {
        if (!(costs->forward[s] > 0 && costs->backward_input[s] > 0 && costs->backward_weight[s] > 0))
            FAIL(error, WEFT_FAILED, "stage %d: passes take no time", s);
        if (!(costs->update[s] > 0 && costs->reductions[s] > 0))
            FAIL(error, WEFT_FAILED, "stage %d: the update or the reduction takes no time", s);
        if ((costs->gathers[s] > 0) != run->calibrated_gathers)
            FAIL(error, WEFT_FAILED, "stage %d: gathers take %g s", s, costs->gathers[s]);
    }
    if (!(told->between > 0 && costs->collectives[WEFT_NORM] > 0 && costs->collectives[WEFT_METRICS] > 0))
        FAIL(error, WEFT_FAILED, "a collective takes no time");
    run->calibrated_stages = 0;
    return WEFT_OK;
}

/* The same layout with and without a calibration. */
static void calibrate_layout(test_suite *self, const test_layout *l, const test_run *base)
{
    char name[256], why[512] = "";
    test_run plain = {.model = base->model, .poisons = true}, timed = plain;
    weft_error error;
    if (!test_suite_takes(self, l)) return;
    test_layout_name(l, name, sizeof name);
    snprintf(plain.folder, sizeof plain.folder, "%s/%s-%s-plain", self->folder, self->transport, name);
    snprintf(timed.folder, sizeof timed.folder, "%s/%s-%s-timed", self->folder, self->transport, name);
    timed.calibrate_seconds = 1e-3;
    timed.calibrated = check_costs;
    timed.calibrated_stages = l->pipeline * l->loops;
    timed.calibrated_gathers = strcmp(l->shard, "none") != 0;
    weft_status status = test_layout_train(&plain, self->corpus, l, self->transport, 2, &error);
    if (status == WEFT_OK) status = test_layout_train(&timed, self->corpus, l, self->transport, 2, &error);
    if (self->process != 0) return;
    if (status == WEFT_OK && timed.calibrated_stages > 0) status = weft_fail(&error, WEFT_FAILED, "no costs were told");
    bool good = status == WEFT_OK && test_runs_agree(&plain, &timed, why, sizeof why);
    test_suite_check(self, good, name, status == WEFT_OK ? why : error.text);
}

static void run_widths(test_suite *self, const char *element, int most)
{
    for (int data = 2; data <= most; data++) {
        test_run base = test_suite_baseline(self, data, 1, element, NULL);
        test_suite_pipelines(self, &base, data, 1, element, test_suite_compare_model);
    }
}

/* Without clipping UPDATE waits for no norm; the head of a Llama is its own. */
static void run_models(test_suite *self, const char *element)
{
    static const char *const unclipped[] = {"optimizer.clip=0", NULL},
                             *const llama[] = {"model.architecture=llama", "model.kv_heads=2", "optimizer.clip=0",
                                               NULL},
                             *const *const models[] = {unclipped, llama};
    if (self->workers && self->workers != 4) return;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        test_run base = test_suite_baseline(self, 2, 1, element, models[i]);
        test_suite_shards(self, &base, (test_layout){"breadth-first", 2, 2, 2, "none", "once", 2, element, "none", 1},
                          test_suite_compare_model);
        test_suite_shards(self, &base,
                          (test_layout){"breadth-first-split", 2, 2, 4, "none", "once", 2, element, "full", 1},
                          test_suite_compare_model);
    }
}

static void run_calibrations(test_suite *self)
{
    static const test_layout layouts[] = {{"breadth-first-split", 2, 2, 2, "none", "once", 2, "fp32", "none", 1},
                                          {"1f1b", 2, 2, 2, "none", "once", 2, "bf16", "full", 1},
                                          {"depth-first", 2, 1, 4, "none", "once", 2, "fp32", "none", 1},
                                          {"zb-v", 3, 2, 2, "none", "once", 2, "fp32", "none", 1},
                                          {"breadth-first", 2, 1, 2, "none", "once", 2, "fp32", "none", 2}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        test_suite_shards(self, &(test_run){0}, layouts[i], calibrate_layout);
}

/* Eight layouts, one step each, every one from the checkpoint of the one before. */
static void walk_chain(test_suite *self)
{
    static const test_layout chain[] = {
        {"gpipe", 2, 1, 1, "none", "once", 2, "bf16", "none", 1},
        {"breadth-first", 2, 2, 2, "weights", "once", 2, "bf16", "none", 1},
        {"1f1b", 2, 2, 1, "optimizer", "once", 2, "bf16", "full", 1},
        {"depth-first", 2, 2, 2, "weights", "once", 1, "bf16", "none", 1},
        {"breadth-first", 2, 1, 4, "gradients", "early", 1, "bf16", "none", 1},
        {"zb-h1", 2, 4, 1, "weights", "once", 2, "bf16", "none", 1},
        {"breadth-first-split", 2, 2, 2, "gradients", "once", 2, "bf16", "none", 1},
        {"breadth-first", 2, 4, 2, "weights", "early", 2, "bf16", "none", 1},
    };
    test_suite_chain(self, chain, sizeof chain / sizeof *chain);
}

int main(int argc, char **argv)
{
    static const int widths[][2] = {{1, 1}, {2, 1}, {3, 1}, {6, 1}};
    test_suite self;
    if (!test_suite_begin_arguments(&self, argc, argv)) return 2;
    run_widths(&self, "fp32", 3);
    run_widths(&self, "bf16", 2);
    run_models(&self, "fp32");
    run_calibrations(&self);
    if (strcmp(self.transport, "local") == 0) {
        walk_chain(&self);
        test_suite_widths(&self, NULL, widths, sizeof widths / sizeof *widths);
    }
    return test_suite_end(&self);
}
