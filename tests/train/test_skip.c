/*
 * Usage: test_skip TRANSPORT FOLDER DEVICE STRIDE
 *
 * Steps that are skipped: a passage that no model expects, one whose loss is not a number and one whose gradient is
 * none, each in one step. Every STRIDE-th layout skips the same steps with the same bits, as a run that is cut and goes
 * on elsewhere does; which these are is worked out again here, and nothing of them is left in the weights.
 */
#include "deferred.h"
#include "layouts.h"
#include "tensors.h"

#include "base/file.h"
#include "device/reference/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 36, WINDOW = 6, CORPUS = 7400, NO_LOSS = 1, NO_GRADIENT = 2 };

#define Z 4.0
#define MODEL                                                                                                          \
    "model.layers=4", "model.width=16", "model.heads=2", "model.feed_forward=32", "batch.tokens=16", "run.steps=36",   \
        "run.evaluate_batches=1", "data.held_out=0.01", "optimizer.skip=4", "optimizer.skip_window=6",                 \
        "optimizer.beta2=0.999"

static const char *const cut_model[] = {"run.sample_tokens=0", MODEL, NULL};

/* A regular text, and in its middle what it does not prepare for. */
static void write_corpus(const char *path)
{
    static const char line[] = "over and under and ";
    char text[CORPUS];
    weft_error error;
    unsigned state = 5;
    for (int i = 0; i < CORPUS; i++) text[i] = line[i % (int)(sizeof line - 1)];
    for (int i = 0; i < 40; i++) {
        state = state * 1103515245u + 12345u;
        text[1000 + i] = (char)(128 + (state >> 16 & 127));
    }
    text[2004] = NO_LOSS;
    text[3004] = NO_GRADIENT;
    if (weft_file_write(path, text, sizeof text, &error) != WEFT_OK) abort();
}

static bool has(const int32_t *targets, int64_t count, int32_t wanted)
{
    for (int64_t i = 0; i < count; i++)
        if (targets[i] == wanted) return true;
    return false;
}

/* With recomputation the loss is that of a pass without a gradient. */
static void spoil(weft_device *device, int64_t N, const int32_t *targets, void *logits, bool gradient, float *loss)
{
    if (has(targets, N, NO_LOSS)) *loss = NAN;
    if (gradient && has(targets, N, NO_GRADIENT)) reference_put(device->element, logits, 0, (double)NAN);
}

/* The same arguments as those of device.h. */
#define LOSS_ARGUMENTS                                                                                                 \
    weft_device *device, weft_stream *stream, const weft_loss *loss, void *logits, const int32_t *targets
#define LOSS_RESULTS const weft_step_scalars *scalars, bool gradient, float *out

void __real_reference_cross_entropy(LOSS_ARGUMENTS, LOSS_RESULTS);
void __wrap_reference_cross_entropy(LOSS_ARGUMENTS, LOSS_RESULTS);

void __wrap_reference_cross_entropy(LOSS_ARGUMENTS, LOSS_RESULTS)
{
    __real_reference_cross_entropy(device, stream, loss, logits, targets, scalars, gradient, out);
    spoil(device, loss->rows, targets, logits, gradient, out);
}

void __real_reference_loss_finish(LOSS_ARGUMENTS, const float *stats, LOSS_RESULTS);
void __wrap_reference_loss_finish(LOSS_ARGUMENTS, const float *stats, LOSS_RESULTS);

void __wrap_reference_loss_finish(LOSS_ARGUMENTS, const float *stats, LOSS_RESULTS)
{
    __real_reference_loss_finish(device, stream, loss, logits, targets, stats, scalars, gradient, out);
    spoil(device, loss->rows, targets, logits, gradient, out);
}

/* Mean and z standard deviations of the last WINDOW of the values, as a textbook has them. */
static bool is_beyond(const double *values, int count, double value)
{
    double mean = 0, variance = 0;
    if (!isfinite(value)) return true;
    if (count < WINDOW) return false;
    for (int i = count - WINDOW; i < count; i++) mean += values[i] / WINDOW;
    for (int i = count - WINDOW; i < count; i++) variance += (values[i] - mean) * (values[i] - mean) / (WINDOW - 1);
    return value > mean + Z * sqrt(variance);
}

/* Which steps were to be skipped, by the figures that the run told. Returns how many for each cause. */
static bool judge_again(const test_run *run, int skipped[4])
{
    double losses[STEPS], norms[STEPS];
    int kept = 0;
    for (int s = 1; s <= STEPS; s++) {
        bool of_loss = is_beyond(losses, kept, run->losses[s]), of_norm = is_beyond(norms, kept, run->norms[s]);
        weft_skipped cause = of_loss ? WEFT_SKIPPED_LOSS : of_norm ? WEFT_SKIPPED_NORM : WEFT_NOT_SKIPPED;
        if (cause != run->skipped[s]) return false;
        skipped[0] += cause == WEFT_SKIPPED_LOSS && !isfinite(run->losses[s]);
        skipped[1] += cause == WEFT_SKIPPED_NORM && !isfinite(run->norms[s]);
        skipped[2] += cause != WEFT_NOT_SKIPPED && isfinite(run->losses[s]) && isfinite(run->norms[s]);
        if (cause != WEFT_NOT_SKIPPED) continue;
        losses[kept] = run->losses[s];
        norms[kept++] = run->norms[s];
    }
    return true;
}

static void check_judged(test_suite *self, const test_run *run)
{
    int skipped[4] = {0};
    char why[128];
    test_suite_check(self, judge_again(run, skipped), run->folder, "skips other steps than its figures say");
    snprintf(why, sizeof why, "skips %d losses and %d norms that are none, and %d others", skipped[0], skipped[1],
             skipped[2]);
    test_suite_check(self, skipped[0] == 1 && skipped[1] == 1 && skipped[2] >= 1, run->folder, why);
}

/* Two checkpoints, a step apart. */
typedef struct {
    test_tensors before, after;
} pair;

static void open_pair(const test_run *run, int step, pair *out)
{
    char folders[2][600];
    weft_error error;
    for (int i = 0; i < 2; i++) snprintf(folders[i], sizeof folders[i], "%s/step-%08d", run->folder, step - 1 + i);
    if (test_tensors_open(&out->before, folders[0], &error) == WEFT_OK &&
        test_tensors_open(&out->after, folders[1], &error) == WEFT_OK)
        return;
    fprintf(stderr, "%s\n", error.text);
    exit(1);
}

static void close_pair(pair *it)
{
    test_tensors_close(&it->after);
    test_tensors_close(&it->before);
}

static float *read(const test_tensors *tensors, weft_checkpoint_kind kind, int32_t p)
{
    weft_error error;
    float *values = test_tensors_read(tensors, kind, p, &error);
    if (!values) abort();
    return values;
}

/* A skipped step leaves weights and moments, any other moves some of each tensor. */
static void check_moved(test_suite *self, const pair *it, bool skipped)
{
    for (int32_t p = 0; p < it->after.count; p++)
        for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
            if (it->after.parameters[p].tied) continue;
            float *before = read(&it->before, (weft_checkpoint_kind)kind, p);
            float *after = read(&it->after, (weft_checkpoint_kind)kind, p);
            bool same = memcmp(before, after, (size_t)it->after.parameters[p].elements * sizeof *before) == 0;
            test_suite_check(self, same == skipped, it->after.parameters[p].name,
                             skipped ? "is moved by a step that is skipped" : "is not moved by a step");
            free(after);
            free(before);
        }
}

/* How far the step's update is from what AdamW makes of its moments as update number n: of a tensor without decay. */
static double apart_from(const pair *it, int32_t p, int n)
{
    const weft_config *config = &it->after.config;
    double correction1 = 1 - pow(config->optimizer.beta1, n), correction2 = 1 - pow(config->optimizer.beta2, n);
    int64_t count = it->after.parameters[p].elements;
    float *before = read(&it->before, WEFT_CHECKPOINT_WEIGHTS, p),
          *after = read(&it->after, WEFT_CHECKPOINT_WEIGHTS, p);
    float *moment1 = read(&it->after, WEFT_CHECKPOINT_MOMENT1, p),
          *moment2 = read(&it->after, WEFT_CHECKPOINT_MOMENT2, p);
    for (int64_t i = 0; i < count; i++) {
        double spread = sqrt((double)moment2[i] / correction2) + config->optimizer.epsilon;
        moment1[i] = (float)(config->optimizer.learning_rate / correction1 * (double)moment1[i] / spread);
        before[i] -= after[i];
    }
    double distance = test_tensors_distance(before, moment1, count);
    free(moment2);
    free(moment1);
    free(after);
    free(before);
    return distance;
}

static void check_update(test_suite *self, const pair *it, int step, int skipped)
{
    int32_t p = 0;
    while (strcmp(it->after.parameters[p].name, "final_norm.bias") != 0) p++;
    test_suite_check(self, apart_from(it, p, step - skipped) < 1e-3, "update", "is not the next after the last one");
    test_suite_check(self, skipped == 0 || apart_from(it, p, step) > 3e-3, "update", "counts the steps skipped");
}

#define KEPT "checkpoint.every=1", MODEL, "optimizer.warmup=0", "optimizer.decay=constant"

/* Every step of a run by its checkpoints, and one more that skips none any more but counts those that were. */
static void check_steps(test_suite *self)
{
    static const char *const kept[] = {KEPT, NULL}, *const more[] = {KEPT, "run.steps=37", "optimizer.skip=0", NULL};
    static const test_layout layout = {"gpipe", 1, 1, 1, "none", "once", 1, "fp32", "none", 1};
    test_run run = test_suite_baseline(self, 1, 1, "fp32", kept), longer = run;
    int skipped = 0;
    weft_error error;
    longer.model = more;
    longer.resume = true;
    weft_status status = test_layout_train(&longer, self->corpus, &layout, "local", 0, &error);
    test_suite_check(self, status == WEFT_OK, "a step that skips none", error.text);
    for (int step = 2; step <= (status == WEFT_OK ? STEPS + 1 : STEPS); step++) {
        pair it;
        bool skips = step <= STEPS && run.skipped[step];
        open_pair(&run, step, &it);
        check_moved(self, &it, skips);
        skipped += skips;
        if (!skips) check_update(self, &it, step, skipped);
        close_pair(&it);
    }
    test_suite_check(self, skipped >= 2, run.folder, "skips too little to tell");
}

static void run_widths(test_suite *self, int data, int tensor, const char *element)
{
    char sequences[32];
    const char *own[] = {MODEL, sequences, data > 1 ? "loss.z=0.01" : "loss.z=0", NULL};
    snprintf(sequences, sizeof sequences, "batch.sequences=%d", 2 / data);
    if (self->workers && self->workers % (data * tensor)) return;
    test_run base = test_suite_baseline(self, data, tensor, element, own);
    if (self->process == 0) check_judged(self, &base);
    test_suite_pipelines(self, &base, data, tensor, element, test_suite_compare_model);
}

/* Cut behind each step that is skipped and before it, and gone on with elsewhere. */
static void check_cut(test_suite *self, const test_run *base, int step, const test_layout ways[2])
{
    char why[512] = "";
    weft_error error;
    test_run cut = {.model = cut_model, .device = self->device, .stop_after = step - 1};
    snprintf(cut.folder, sizeof cut.folder, "%s/cut-%d", self->folder, step);
    weft_status status = test_layout_train(&cut, self->corpus, &ways[0], "local", 0, &error);
    bool ends = cut.steps == step;
    cut.resume = true;
    cut.stop = 0;
    cut.stop_after = 0;
    if (status == WEFT_OK) status = test_layout_train(&cut, self->corpus, &ways[1], "local", 0, &error);
    if (status != WEFT_OK)
        test_suite_check(self, false, cut.folder, error.text);
    else
        test_suite_check(self, ends && test_runs_agree(base, &cut, why, sizeof why), cut.folder, why);
}

static void run_cuts(test_suite *self)
{
    static const test_layout ways[][2] = {{{"breadth-first", 1, 2, 2, "none", "once", 1, "fp32", "none", 1},
                                           {"gpipe", 1, 1, 1, "none", "once", 1, "fp32", "none", 1}},
                                          {{"gpipe", 1, 1, 1, "none", "once", 1, "fp32", "none", 1},
                                           {"zb-h1", 1, 2, 1, "none", "once", 1, "fp32", "none", 1}}};
    test_run base = test_suite_baseline(self, 1, 1, "fp32", cut_model);
    for (int step = 2, i = 0; step < STEPS; step++)
        if (base.skipped[step] || base.skipped[step + 1]) check_cut(self, &base, step, ways[i++ % 2]);
}

static void check_failure(test_suite *self, const char *name, const char *const *overrides, bool resume,
                          const char *words)
{
    weft_error error;
    test_run run = {.model = overrides, .device = self->device, .resume = resume};
    test_layout layout = {"breadth-first", 1, 2, 1, "none", "once", 1, "fp32", "none", 1};
    snprintf(run.folder, sizeof run.folder, "%s/%s", self->folder, name);
    weft_status status = test_layout_train(&run, self->corpus, &layout, "local", 0, &error);
    test_suite_check(self, status == WEFT_FAILED && strstr(error.text, words), name,
                     status == WEFT_OK ? "it does not fail" : error.text);
}

#define SPOILS                                                                                                         \
    MODEL, "optimizer.learning_rate=1e30", "optimizer.warmup=0", "optimizer.weight_decay=0", "optimizer.clip=0"

/* Checkpoints of steps skipped since are no way back from weights that give no held-out loss: nor are they, later,
 * where no step is skipped any more. */
static void check_way_back(test_suite *self)
{
    static const char *const good[] = {MODEL, "checkpoint.every=1", "optimizer.skip=0", NULL};
    static const char *const spoilt[] = {SPOILS, "checkpoint.every=1", "checkpoint.keep=0", "run.evaluate_every=4",
                                         NULL};
    static const char *const after[] = {SPOILS, "optimizer.skip=0", NULL};
    static const char words[] = "loss is not finite; the checkpoint of step 4 holds the weights that give it, that of "
                                "step 1 is from before: remove those after it and resume";
    static const test_layout layout = {"gpipe", 1, 1, 1, "none", "once", 1, "fp32", "none", 1};
    test_run run = {.model = good, .device = self->device};
    weft_error error;
    snprintf(run.folder, sizeof run.folder, "%s/way-back", self->folder);
    weft_status status = test_layout_train(&run, self->corpus, &layout, "local", 1, &error);
    test_suite_check(self, status == WEFT_OK, "a step that is not skipped", error.text);
    check_failure(self, "way-back", spoilt, true, words);
    check_failure(self, "way-back", after, true, words);
}

/* Initial weights that all steps so far have left as they are. */
static void check_no_way_back(test_suite *self)
{
    char text[CORPUS], path[600], data[640];
    const char *const keys[] = {MODEL, data, "data.format=text", "run.evaluate_every=2", "checkpoint.every=1", NULL};
    weft_error error;
    snprintf(path, sizeof path, "%s/no-loss", self->folder);
    snprintf(data, sizeof data, "data.path=%s", path);
    memset(text, NO_LOSS, sizeof text);
    if (weft_file_write(path, text, sizeof text, &error) != WEFT_OK) abort();
    check_failure(self, "no-way-back", keys, false, "the held-out loss is not finite; the initial weights give it");
}

/* Weights that give no loss after the first step: the run ends with the third step that is skipped, also where that is
 * the first of one that was resumed, and leaves the checkpoints. Without the key it is the first that ends it. */
static void run_ends(test_suite *self)
{
    static const char *const off[] = {MODEL, "optimizer.skip=0", NULL};
    static const char *const row[] = {SPOILS, "optimizer.skip_in_a_row=3", "checkpoint.every=1", NULL};
    static const char *const first[] = {SPOILS, "optimizer.skip_in_a_row=2", NULL};
    static const char *const longer[] = {SPOILS, "optimizer.skip_in_a_row=5", "checkpoint.every=4", NULL};
    static const char *const strict[] = {MODEL, "optimizer.skip=1", "optimizer.skip_in_a_row=1", NULL};
    check_failure(self, "off", off, false, "is not finite");
    check_failure(self, "row", row, false,
                  "step 4: 3 skipped steps in a row, the last for a loss that is not finite; the weights are those of "
                  "step 1; the latest checkpoint is that of step 3: resume, with a lower optimizer.learning_rate");
    check_failure(self, "row", row, true, "step 4: 3 skipped steps in a row");
    check_failure(self, "row", longer, true, "step 6: 5 skipped steps in a row");
    check_failure(self, "first", first, false, "of step 1; there is no checkpoint: start again, with a lower ");
    check_failure(self, "strict", strict, false, " where ");
    check_failure(self, "strict", strict, false, ": 1 skipped step in a row, the last for a ");
    check_failure(self, "strict", strict, false, " was the most; the weights are those of step ");
    check_failure(self, "strict", strict, false, ", or where the data are right a higher optimizer.skip");
}

int main(int argc, char **argv)
{
    test_suite suite;
    if (argc != 5 || !test_suite_begin(&suite, argv[1], argv[2])) return 2;
    write_corpus(suite.corpus);
    suite.device = argv[3];
    suite.stride = atoi(argv[4]);
    run_widths(&suite, 1, 1, "fp32");
    run_widths(&suite, 2, 1, "bf16");
    run_widths(&suite, 1, 2, "fp32");
    run_widths(&suite, 2, 2, "fp32");
    if (suite.workers == 0) {
        check_steps(&suite);
        run_cuts(&suite);
        run_ends(&suite);
        check_way_back(&suite);
        check_no_way_back(&suite);
    }
    return test_suite_end(&suite);
}
