/*
 * Tensor parallelism: for fixed data and tensor widths the schedule, the pipeline, its loops, what the data-parallel
 * workers divide, the transport and the numbering of the workers leave the same losses and checkpoints, bit for bit.
 * The widths themselves change no more than rounding does, in no gradient of any tensor. Checkpoints go from widths to
 * other widths and back without a change.
 *
 * Usage: test_tensor local FOLDER [long], or under mpirun -n N: test_tensor mpi FOLDER [long], which runs the layouts
 * of N workers. long: every combination instead of some of each.
 */
#include "relay.h"
#include "tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS = 8 };

/* The first entry of each is its name. Two heads of keys and values cannot be divided by four. */
static const struct {
    const char *overrides[6];
    int most;
} models[MODELS] = {{{"optimizer.clip=0.5", NULL}, 4},
                    {{"optimizer.clip=0", NULL}, 4},
                    {{"model.architecture=llama", "model.kv_heads=2", NULL}, 2},
                    {{"optimizer.clip=2", "model.architecture=llama", "model.vocabulary=251", NULL}, 4},
                    {{"model.vocabulary=251", "optimizer.clip=0", NULL}, 4},
                    {{"model.tied=false", NULL}, 4},
                    {{"model.bias=false", "model.vocabulary=255", NULL}, 4},
                    {{"model.architecture=llama", "model.head_width=12", "model.query_key_norm=true",
                      "model.qkv_bias=true", "model.window=7", NULL},
                     4}};

/* Every `stride`-th pipeline from `first` on, at each kind of sharding where there is anything to shard. */
static void run_pipelines(test_suite *self, test_layout l, const char *const *model, int first, int stride)
{
    if (self->workers && self->workers % (l.data * l.tensor)) return;
    test_run base = test_suite_baseline(self, l.data, l.tensor, l.element, model);
    for (int i = first; i < TEST_PIPELINES; i += stride) {
        const test_pipeline *way = &test_pipelines[i];
        l.schedule = way->schedule;
        l.pipeline = way->pipeline;
        l.loops = way->loops;
        l.recompute = i / stride % 2 ? "full" : "none";
        if (l.data > 1)
            test_suite_shards(self, &base, l, test_suite_compare_model);
        else
            test_suite_compare_model(self, &l, &base);
    }
}

static test_layout plain(int data, int tensor, const char *element)
{
    return (test_layout){"gpipe", data, 1, 1, "none", "once", 2, element, "none", tensor};
}

static void run_widths(test_suite *self, bool all)
{
    run_pipelines(self, plain(1, 2, "fp32"), NULL, 0, 1);
    run_pipelines(self, plain(1, 2, "bf16"), NULL, 0, all ? 1 : 2);
    run_pipelines(self, plain(1, 4, "fp32"), NULL, 0, all ? 1 : 3);
    run_pipelines(self, plain(1, 4, "bf16"), NULL, 1, all ? 1 : 4);
    run_pipelines(self, plain(2, 2, "fp32"), NULL, all ? 0 : 1, all ? 1 : 2);
    run_pipelines(self, plain(2, 2, "bf16"), NULL, all ? 0 : 5, all ? 1 : 4);
}

static void run_models(test_suite *self, bool all)
{
    for (int i = 1; i < MODELS; i++)
        for (int tensor = 2; tensor <= models[i].most; tensor *= 2) {
            run_pipelines(self, plain(1, tensor, i % 2 ? "fp32" : "bf16"), models[i].overrides, i % 4, all ? 1 : 4);
            if (all) run_pipelines(self, plain(2, tensor, i % 2 ? "bf16" : "fp32"), models[i].overrides, 0, 1);
        }
}

/* Who is whose neighbour is of no consequence. */
static void run_orders(test_suite *self)
{
    static const char *const orders[][2] = {
        {"parallel.order=tensor-data-pipeline"}, {"parallel.order=tensor-pipeline-data"},
        {"parallel.order=data-tensor-pipeline"}, {"parallel.order=data-pipeline-tensor"},
        {"parallel.order=pipeline-tensor-data"}, {"parallel.order=pipeline-data-tensor"}};
    static const test_layout layouts[] = {{"breadth-first", 2, 2, 2, "weights", "once", 1, "fp32", "none", 2},
                                          {"1f1b", 1, 2, 2, "none", "once", 2, "fp32", "none", 2},
                                          {"gpipe", 2, 1, 1, "gradients", "once", 2, "fp32", "none", 2}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (!test_suite_fits(self, &layouts[i]) || (i > 0 && self->workers == 0)) continue;
        test_run base = test_suite_baseline(self, layouts[i].data, layouts[i].tensor, "fp32", orders[0]);
        for (size_t k = 0; k < sizeof orders / sizeof *orders; k++)
            test_suite_compare(self, &layouts[i], orders[k], &base);
    }
}

/* After one step the first moments are the gradients but for a factor. */
static void compare_gradients(test_suite *self, const char *name, const test_run *one, const test_run *run)
{
    test_tensors expected, got;
    weft_error error;
    if (test_tensors_open(&expected, one->folder, &error) != WEFT_OK) {
        test_suite_check(self, false, name, error.text);
        return;
    }
    if (test_tensors_open(&got, run->folder, &error) != WEFT_OK) {
        test_tensors_close(&expected);
        test_suite_check(self, false, name, error.text);
        return;
    }
    for (int32_t p = 0; p < expected.count; p++) {
        const weft_parameter *parameter = &expected.parameters[p];
        if (parameter->tied) continue;
        float *a = test_tensors_read(&got, WEFT_CHECKPOINT_MOMENT1, p, &error);
        float *b = test_tensors_read(&expected, WEFT_CHECKPOINT_MOMENT1, p, &error);
        double distance = a && b ? test_tensors_distance(a, b, parameter->elements) : HUGE_VAL;
        char what[256];
        snprintf(what, sizeof what, "the gradient of %s is off by %.3g", parameter->name, distance);
        test_suite_check(self, distance <= 1e-4, name, what);
        free(b);
        free(a);
    }
    test_tensors_close(&got);
    test_tensors_close(&expected);
}

static void run_gradients(test_suite *self, const char *const *model)
{
    test_run one = {.model = model};
    for (int data = 1; data <= 3; data++)
        for (int tensor = 1; tensor <= 4; tensor *= 2) {
            char set[3][64], name[256];
            test_run run = {.model = model};
            weft_error error;
            snprintf(set[0], sizeof set[0], "parallel.data=%d", data);
            snprintf(set[1], sizeof set[1], "parallel.tensor=%d", tensor);
            snprintf(set[2], sizeof set[2], "batch.microbatches=%d", 6 / data);
            const char *overrides[] = {set[0], set[1], set[2], "run.steps=1", "optimizer.warmup=0", "optimizer.clip=0",
                                       NULL};
            snprintf(name, sizeof name, "gradients-%d-%d-%s", data, tensor, model[0]);
            snprintf(run.folder, sizeof run.folder, "%s/%s", self->folder, name);
            weft_error_clear(&error);
            if (test_train(&run, self->corpus, overrides, &error) != WEFT_OK)
                test_suite_check(self, false, name, error.text);
            else if (data * tensor == 1)
                one = run;
            else
                compare_gradients(self, name, &one, &run);
        }
}

/* Eight checkpoints, each read and written at another layout: the last is the first. */
static void relay_checkpoint(test_suite *self, const char *element, const char *const *model)
{
    static const test_layout layouts[] = {
        {"breadth-first", 2, 2, 2, "weights", "once", 2, "", "none", 2},
        {"gpipe", 1, 1, 1, "none", "once", 2, "", "none", 4},
        {"1f1b", 3, 2, 1, "optimizer", "once", 2, "", "none", 1},
        {"depth-first", 1, 2, 2, "none", "once", 2, "", "none", 2},
        {"breadth-first", 3, 1, 4, "weights", "early", 1, "", "none", 4},
        {"zb-v", 2, 2, 2, "gradients", "early", 1, "", "none", 2},
        {"gpipe", 1, 4, 1, "none", "once", 2, "", "none", 1},
        {"breadth-first", 2, 2, 4, "optimizer", "once", 2, "", "none", 4},
    };
    test_run first = test_suite_baseline(self, 1, 2, element, model), last = first;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        char name[256], why[512] = "";
        test_run next = {.model = model};
        test_layout l = layouts[i];
        weft_error error;
        l.element = element;
        test_layout_name(&l, name, sizeof name);
        snprintf(next.folder, sizeof next.folder, "%s/relay-%s-%s", self->folder, name, model[0]);
        if (test_relay(last.folder, &next, self->corpus, &l, &error) != WEFT_OK) {
            test_suite_check(self, false, name, error.text);
            return;
        }
        test_suite_check(self, test_checkpoints_agree(first.folder, next.folder, why, sizeof why), name, why);
        last = next;
    }
}

/* A step at each of eight layouts of the same widths. */
static void walk_chain(test_suite *self)
{
    static const test_layout chain[] = {
        {"gpipe", 2, 1, 1, "none", "once", 2, "bf16", "none", 2},
        {"breadth-first", 2, 2, 2, "weights", "once", 2, "bf16", "none", 2},
        {"1f1b", 2, 2, 1, "optimizer", "once", 2, "bf16", "full", 2},
        {"depth-first", 2, 2, 2, "weights", "once", 1, "bf16", "none", 2},
        {"breadth-first", 2, 1, 4, "gradients", "early", 1, "bf16", "none", 2},
        {"zb-h1", 2, 4, 1, "weights", "once", 2, "bf16", "none", 2},
        {"breadth-first-split", 2, 2, 2, "gradients", "once", 2, "bf16", "none", 2},
        {"breadth-first", 2, 4, 2, "weights", "early", 2, "bf16", "none", 2},
    };
    test_suite_chain(self, chain, sizeof chain / sizeof *chain);
}

int main(int argc, char **argv)
{
    static const int widths[][2] = {{1, 1}, {1, 2}, {1, 4}, {2, 2}, {3, 2}};
    static const char *const llama[] = {"model.architecture=llama", NULL},
                             *const uneven[] = {"optimizer.clip=3", "model.vocabulary=251", NULL},
                             *const uneven_llama[] = {"optimizer.clip=4", "model.architecture=llama",
                                                      "model.vocabulary=251", NULL};
    test_suite self;
    bool all = argc == 4 && strcmp(argv[3], "long") == 0;
    if ((argc != 3 && !all) || !test_suite_begin(&self, argv[1], argv[2])) return 2;
    run_widths(&self, all);
    run_models(&self, all);
    run_orders(&self);
    if (self.workers == 0) {
        test_suite_widths(&self, NULL, widths, sizeof widths / sizeof *widths);
        test_suite_widths(&self, llama, widths, sizeof widths / sizeof *widths);
        run_gradients(&self, models[0].overrides);
        run_gradients(&self, models[3].overrides);
        relay_checkpoint(&self, "bf16", uneven);
        relay_checkpoint(&self, "fp32", uneven_llama);
        walk_chain(&self);
    }
    return test_suite_end(&self);
}
