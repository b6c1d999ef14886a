/*
 * Frozen parameters: they stay what they were at the start, bit for bit, and have no moments; the others are trained as
 * if nothing were frozen, at every layout with the same bits. Checkpoints go on with other parameters frozen.
 *
 * Usage: test_frozen local FOLDER [STRIDE], or under mpirun -n N: test_frozen mpi FOLDER [STRIDE], which runs the
 * layouts of N workers. With STRIDE every STRIDE-th layout alone.
 */
#include "layouts.h"
#include "tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 8, WORDS = 6 };

/* The first entry of each is its name. Layers 2 to 5 are at least one whole stage of four. */
static const char *const sets[SETS][WORDS] = {
    {"optimizer.frozen=embedding.*"},
    {"optimizer.frozen=layer.0.* layer.1.*"},
    {"optimizer.frozen=*.bias"},
    {"optimizer.frozen=*norm*"},
    {"optimizer.frozen=layer.2.* layer.3.* layer.4.* layer.5.*"},
    {"optimizer.frozen=layer.* final_norm.* embedding.*", "model.tied=false"},
    {"optimizer.frozen=layer.* final_norm.* embedding.position", "model.vocabulary=251"},
    {"optimizer.frozen=*.qkv.* embedding.token layer.7.*", "model.architecture=llama", "model.kv_heads=2"},
};

/* A set and what else a run needs. words: overrides, NULL-terminated. */
static void extend(const char *const *set, const char *const *words, const char **out)
{
    for (; *set; set++) *out++ = *set;
    for (; *words; words++) *out++ = *words;
    *out = NULL;
}

static bool is_frozen(const char *set, const char *name)
{
    static const struct {
        const char *set, *part;
        bool begins;
    } rules[] = {{sets[0][0], "embedding.", true}, {sets[1][0], "layer.0.", true},   {sets[1][0], "layer.1.", true},
                 {sets[2][0], ".bias", false},     {sets[3][0], "norm", false},      {sets[4][0], "layer.2.", true},
                 {sets[4][0], "layer.3.", true},   {sets[4][0], "layer.4.", true},   {sets[4][0], "layer.5.", true},
                 {sets[5][0], "layer.", true},     {sets[5][0], "final_norm", true}, {sets[5][0], "embedding", true},
                 {sets[6][0], "layer.", true},     {sets[6][0], "final_norm", true}, {sets[6][0], ".position", false},
                 {sets[7][0], ".qkv.", false},     {sets[7][0], ".token", false},    {sets[7][0], "layer.7.", true}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const char *found = strcmp(set, rules[i].set) == 0 ? strstr(name, rules[i].part) : NULL;
        if (found && (!rules[i].begins || found == name)) return true;
    }
    return false;
}

/* What a tensor must be: frozen ones as at the start and without moments, others neither. */
static const char *wrong_with(const test_tensors *run, const char *set, int32_t p)
{
    const weft_parameter *parameter = &run->parameters[p];
    bool frozen = is_frozen(set, parameter->name);
    weft_error error;
    size_t bytes = (size_t)parameter->elements * sizeof(float);
    float *start = malloc(bytes), *now = test_tensors_read(run, WEFT_CHECKPOINT_WEIGHTS, p, &error);
    if (!start || !now) abort();
    weft_parameter_init(parameter, 0, (uint64_t)run->config.run.seed, 0, parameter->elements, start);
    bool same = memcmp(start, now, bytes) == 0;
    free(start);
    free(now);
    for (int kind = WEFT_CHECKPOINT_MOMENT1; kind < WEFT_CHECKPOINT_KINDS; kind++)
        if (test_tensors_have(run, (weft_checkpoint_kind)kind, p) == frozen)
            return frozen ? "is frozen and has a moment" : "is trained and lacks a moment";
    return same == frozen ? NULL : frozen ? "is frozen and has changed" : "is trained and has not changed";
}

static void check_tensors(test_suite *self, const test_run *run)
{
    test_tensors tensors;
    weft_error error;
    if (test_tensors_open(&tensors, run->folder, &error) != WEFT_OK) {
        test_suite_check(self, false, run->folder, error.text);
        return;
    }
    for (int32_t p = 0; p < tensors.count; p++) {
        if (tensors.parameters[p].tied) continue;
        const char *wrong = wrong_with(&tensors, run->model[0], p);
        char why[256];
        snprintf(why, sizeof why, "%s %s", tensors.parameters[p].name, wrong ? wrong : "");
        test_suite_check(self, !wrong, run->folder, why);
    }
    test_tensors_close(&tensors);
}

/* Three steps of every set. */
static void run_sets(test_suite *self, const char *element)
{
    for (int i = 0; i < SETS; i++)
        for (int data = 1; data <= 2; data++)
            for (int tensor = 1; tensor <= 2; tensor++) {
                static const char *const short_run[] = {"run.steps=3", NULL};
                const char *model[WORDS + 1];
                if (self->workers && self->workers % (data * tensor)) continue;
                extend(sets[i], short_run, model);
                test_run base = test_suite_baseline(self, data, tensor, element, model);
                check_tensors(self, &base);
                test_layout l = {"breadth-first", data, 2, 2, "none", "once", 2, element, "none", tensor};
                if (data > 1)
                    test_suite_shards(self, &base, l, test_suite_compare_model);
                else
                    test_suite_compare_model(self, &l, &base);
                l.schedule = "breadth-first-split";
                l.recompute = "full";
                test_suite_compare_model(self, &l, &base);
            }
}

/* Whether what is trained is the same in both, weights and moments. */
static void compare_trained(test_suite *self, const test_run *frozen, const test_run *free_run)
{
    test_tensors a, b;
    weft_error error;
    if (test_tensors_open(&a, frozen->folder, &error) != WEFT_OK ||
        test_tensors_open(&b, free_run->folder, &error) != WEFT_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    for (int32_t p = 0; p < a.count; p++)
        for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
            if (a.parameters[p].tied || is_frozen(frozen->model[0], a.parameters[p].name)) continue;
            float *x = test_tensors_read(&a, (weft_checkpoint_kind)kind, p, &error);
            float *y = test_tensors_read(&b, (weft_checkpoint_kind)kind, p, &error);
            bool same = x && y && memcmp(x, y, (size_t)a.parameters[p].elements * sizeof *x) == 0;
            test_suite_check(self, same, frozen->folder, a.parameters[p].name);
            free(y);
            free(x);
        }
    test_tensors_close(&b);
    test_tensors_close(&a);
}

/* Without clipping the first step of what is trained is that of a run with nothing frozen. */
static void run_first_steps(test_suite *self, int data, int tensor)
{
    static const char *const one_step[] = {"run.steps=1", "optimizer.warmup=0", "optimizer.clip=0", NULL};
    test_layout l = {"breadth-first", data, 2, 2, "none", "once", 2, "fp32", "none", tensor};
    for (int i = 0; i < SETS; i++) {
        const char *model[WORDS + 3], *whole[WORDS + 4];
        static const char *const nothing[] = {"optimizer.frozen=", NULL};
        extend(sets[i], one_step, model);
        extend(model, nothing, whole);
        test_run frozen = {.model = model}, free_run = {.model = whole};
        weft_error error;
        snprintf(frozen.folder, sizeof frozen.folder, "%s/first-%d-%d-%s", self->folder, data, tensor, model[0]);
        snprintf(free_run.folder, sizeof free_run.folder, "%s-free", frozen.folder);
        if (test_layout_train(&frozen, self->corpus, &l, "local", 0, &error) != WEFT_OK ||
            test_layout_train(&free_run, self->corpus, &l, "local", 0, &error) != WEFT_OK)
            test_suite_check(self, false, frozen.folder, error.text);
        else
            compare_trained(self, &frozen, &free_run);
    }
}

/* Three steps with a set, one more with another, at one layout and then another; run->model is left as the second. */
static weft_status change_set(test_suite *self, test_run *run, const char *const *first, const char *const *second,
                              const test_layout layouts[2], weft_error *error)
{
    run->model = first;
    run->stop_after = 2; /* one step more is on its way then */
    TRY(test_layout_train(run, self->corpus, &layouts[0], "local", 0, error));
    run->resume = true;
    run->stop = 1; /* after a step */
    run->model = second;
    return test_layout_train(run, self->corpus, &layouts[1], "local", 0, error);
}

/* Of moments that began at zero one step ago the second is the square of the first but for a factor. */
static bool began_at_zero(const test_tensors *run, int32_t p)
{
    weft_error error;
    float *first = test_tensors_read(run, WEFT_CHECKPOINT_MOMENT1, p, &error);
    float *second = test_tensors_read(run, WEFT_CHECKPOINT_MOMENT2, p, &error);
    if (!first || !second) abort();
    double beta1 = run->config.optimizer.beta1, beta2 = run->config.optimizer.beta2, most = 0;
    for (int64_t i = 0; i < run->parameters[p].elements; i++) {
        double gradient = (double)first[i] / (1 - beta1), square = (double)second[i] / (1 - beta2);
        most = fmax(most, fabs(gradient * gradient - square) / fmax(square, 1e-30));
    }
    free(second);
    free(first);
    return most < 1e-4;
}

static void check_thawed(test_suite *self, const test_run *run, const char *set)
{
    test_tensors tensors;
    weft_error error;
    if (test_tensors_open(&tensors, run->folder, &error) != WEFT_OK) abort();
    for (int32_t p = 0; p < tensors.count; p++) {
        if (tensors.parameters[p].tied) continue;
        bool thawed = is_frozen(set, tensors.parameters[p].name);
        test_suite_check(self, began_at_zero(&tensors, p) == thawed, "thawed", tensors.parameters[p].name);
    }
    test_tensors_close(&tensors);
    test_suite_check(self, strstr(run->notes, "optimizer.frozen is ") != NULL, "thawed", "no note says so");
}

/* Whether frozen tensors are those of an earlier checkpoint, and have no moments. */
static void check_frozen_since(test_suite *self, const test_run *run, const char *earlier, const char *set)
{
    test_tensors now, then;
    weft_error error;
    if (test_tensors_open(&now, run->folder, &error) != WEFT_OK || test_tensors_open(&then, earlier, &error) != WEFT_OK)
        abort();
    for (int32_t p = 0; p < now.count; p++) {
        if (now.parameters[p].tied) continue;
        bool frozen = is_frozen(set, now.parameters[p].name);
        float *x = test_tensors_read(&now, WEFT_CHECKPOINT_WEIGHTS, p, &error);
        float *y = test_tensors_read(&then, WEFT_CHECKPOINT_WEIGHTS, p, &error);
        bool same = x && y && memcmp(x, y, (size_t)now.parameters[p].elements * sizeof *x) == 0;
        test_suite_check(self, same == frozen && test_tensors_have(&now, WEFT_CHECKPOINT_MOMENT1, p) != frozen,
                         "frozen later", now.parameters[p].name);
        free(y);
        free(x);
    }
    test_tensors_close(&then);
    test_tensors_close(&now);
}

/* From frozen to trained and back, with the same bits whatever the layout. */
static void run_changes(test_suite *self)
{
    static const test_layout ways[][2] = {{{"gpipe", 2, 1, 1, "none", "once", 2, "bf16", "none", 2},
                                           {"breadth-first", 2, 2, 2, "weights", "once", 1, "bf16", "none", 2}},
                                          {{"1f1b", 2, 2, 2, "gradients", "once", 2, "bf16", "full", 2},
                                           {"gpipe", 2, 1, 1, "none", "once", 2, "bf16", "none", 2}}};
    static const char *const nothing[] = {"optimizer.frozen=", NULL};
    for (int i = 0; i < 4; i++)
        for (int thaws = 0; thaws < 2; thaws++) {
            const char *const *first = thaws ? sets[i] : nothing, *const *second = thaws ? nothing : sets[i];
            test_run runs[2] = {{.model = NULL}, {.model = NULL}};
            char why[512] = "", earlier[600];
            weft_error error;
            weft_status status = WEFT_OK;
            for (int way = 0; way < 2 && status == WEFT_OK; way++) {
                snprintf(runs[way].folder, sizeof runs[way].folder, "%s/change-%d-%d-%d", self->folder, i, thaws, way);
                status = change_set(self, &runs[way], first, second, ways[way], &error);
            }
            bool same = status == WEFT_OK && test_checkpoints_agree(runs[0].folder, runs[1].folder, why, sizeof why);
            test_suite_check(self, same, runs[0].folder, status == WEFT_OK ? why : error.text);
            if (status != WEFT_OK) continue;
            snprintf(earlier, sizeof earlier, "%s/step-00000003", runs[0].folder);
            if (thaws)
                check_thawed(self, &runs[0], sets[i][0]);
            else
                check_frozen_since(self, &runs[0], earlier, sets[i][0]);
        }
}

static void run_refusals(test_suite *self)
{
    static const struct {
        const char *set, *says;
    } refused[] = {{"optimizer.frozen=layer.0.nrom1.weight", "nearest: 'layer.0.norm1.weight'"},
                   {"optimizer.frozen=embedding.* final_nrom.bias", "nearest: 'final_norm.bias'"},
                   {"optimizer.frozen=embedding.tokens", "nearest: 'embedding.token'"},
                   {"optimizer.frozen=head.weight", "a tied head is part of embedding.token"},
                   {"optimizer.frozen=layer.8.*", "no parameter is named 'layer.8.*'"},
                   {"optimizer.frozen=*", "every parameter is frozen: nothing to train"},
                   {"optimizer.frozen=layer.* embedding.* final_norm.*", "every parameter is frozen"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        test_run run = {.model = NULL};
        const char *overrides[] = {refused[i].set, NULL};
        weft_error error;
        weft_error_clear(&error);
        snprintf(run.folder, sizeof run.folder, "%s/refused", self->folder);
        bool good = test_train(&run, self->corpus, overrides, &error) == WEFT_INVALID &&
                    strstr(error.text, refused[i].says) && strstr(error.text, "optimizer.frozen");
        test_suite_check(self, good, refused[i].set, error.text);
    }
}

int main(int argc, char **argv)
{
    test_suite self;
    if (!test_suite_begin_arguments(&self, argc, argv)) return 2;
    run_sets(&self, "fp32");
    if (self.workers == 0) {
        run_first_steps(&self, 1, 1);
        run_first_steps(&self, 2, 2);
        run_changes(&self);
        run_refusals(&self);
    }
    return test_suite_end(&self);
}
