/*
 * Data parallelism: for a fixed width, whatever the workers divide, the schedule, the pipeline, its loops and the
 * transport leave the same losses and checkpoints, bit for bit; early reductions agree within rounding; and the width
 * itself changes no more than that. Pages of weights and gradients hold no numbers but while their stage is there. A
 * calibration before the first step leaves no trace in the bits.
 *
 * Usage: test_sharding local FOLDER, or under mpirun -n N: test_sharding mpi FOLDER, which runs the layouts of N
 * workers.
 */
#include "layouts.h"

#include "base/file.h"
#include "transport/transport.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct suite {
    const char *transport, *folder;
    char corpus[512];
    int32_t process, workers; /* workers 0: any number */
    int passed, failed, runs;
} suite;

static void check(suite *self, bool good, const char *name, const char *why)
{
    self->passed += good;
    self->failed += !good;
    if (!good) fprintf(stderr, "FAILED %s: %s\n", name, why);
}

static double farthest(const test_run *a, const test_run *b)
{
    double most = fabs(a->held_out - b->held_out) / a->held_out;
    for (int64_t i = 1; i <= a->steps; i++) most = fmax(most, fabs(a->losses[i] - b->losses[i]) / a->losses[i]);
    return a->steps == b->steps ? most : HUGE_VAL;
}

/* Every process makes its own, on one pipeline rank without sharding; data-parallel workers as threads. */
static test_run baseline(suite *self, int data, const char *element, const char *const *model)
{
    test_run run = {.model = model};
    weft_error error;
    test_layout l = {"gpipe", data, 1, 1, "none", "once", 2, element, "none"};
    snprintf(run.folder, sizeof run.folder, "%s/baseline-%d-%s-%s-%d", self->folder, data, element,
             model ? model[0] : "", (int)self->process);
    if (test_layout_train(&run, self->corpus, &l, "local", 0, &error) != WEFT_OK) {
        fprintf(stderr, "baseline: %s\n", error.text);
        exit(1);
    }
    return run;
}

/* What rounding of sums in another order may do; weights that are stored in bf16 may then round the other way. */
static double tolerance(const test_layout *l)
{
    return strcmp(l->element, "bf16") == 0 ? 1e-3 : 1e-5;
}

/* The groups of micro-batches that an early reduction takes are those of one reduction where the backward passes of a
 * stage are behind one another. */
static bool reduces_once(const test_layout *l)
{
    return strcmp(l->reduce, "once") == 0 || strcmp(l->schedule, "breadth-first") == 0;
}

static void run_layout(suite *self, const test_layout *l, const test_run *base)
{
    char name[256], why[512] = "";
    test_run run = {.model = base->model, .poisons = true};
    weft_error error;
    if (self->workers && l->data * l->pipeline != self->workers) return;
    test_layout_name(l, name, sizeof name);
    snprintf(run.folder, sizeof run.folder, "%s/%s-%s%s", self->folder, self->transport, name,
             base->model ? base->model[0] : "");
    weft_status status = test_layout_train(&run, self->corpus, l, self->transport, 0, &error);
    if (self->process != 0) return;
    self->runs++;
    if (status != WEFT_OK)
        check(self, false, name, error.text);
    else if (reduces_once(l))
        check(self, test_runs_agree(base, &run, why, sizeof why), name, why);
    else
        check(self, farthest(base, &run) < tolerance(l), name, "losses differ by more than rounding makes them");
}

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
static void calibrate_layout(suite *self, const test_layout *l, const test_run *base)
{
    char name[256], why[512] = "";
    test_run plain = {.model = base->model, .poisons = true}, timed = plain;
    weft_error error;
    if (self->workers && l->data * l->pipeline != self->workers) return;
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
    self->runs++;
    if (status == WEFT_OK && timed.calibrated_stages > 0) status = weft_fail(&error, WEFT_FAILED, "no costs were told");
    bool good = status == WEFT_OK && test_runs_agree(&plain, &timed, why, sizeof why);
    check(self, good, name, status == WEFT_OK ? why : error.text);
}

static const char *const shards[] = {"none", "optimizer", "gradients", "weights"};

typedef void run_function(suite *self, const test_layout *l, const test_run *base);

/* Shards, buffers and reductions of one pipeline. */
static void run_shards(suite *self, const test_run *base, test_layout l, run_function *run)
{
    for (int shard = 0; shard < 4; shard++)
        for (int early = 0; early < (shard >= 2 ? 2 : 1); early++)
            for (int buffers = 1; buffers <= (shard == 3 || early ? 2 : 1); buffers++) {
                l.shard = shards[shard];
                l.reduce = early ? "early" : "once";
                l.buffers = buffers;
                run(self, &l, base);
            }
}

static void run_widths(suite *self, const char *element, int most)
{
    static const struct {
        const char *schedule;
        int pipeline, loops;
    } pipelines[] = {{"gpipe", 1, 1},         {"1f1b", 2, 1},          {"1f1b", 2, 2},  {"depth-first", 2, 2},
                     {"breadth-first", 1, 4}, {"breadth-first", 2, 2}, {"zb-h1", 2, 1}, {"breadth-first-split", 2, 2},
                     {"zb-v", 2, 2}};
    for (int data = 2; data <= most; data++) {
        test_run base = baseline(self, data, element, NULL);
        for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++) {
            if (self->workers && data * pipelines[i].pipeline != self->workers) continue;
            test_layout l = {
                pipelines[i].schedule,  data, pipelines[i].pipeline, pipelines[i].loops, "none", "once", 2, element,
                i % 2 ? "full" : "none"};
            run_shards(self, &base, l, run_layout);
        }
    }
}

/* Without clipping UPDATE waits for no norm; the head of a Llama is its own. */
static void run_models(suite *self, const char *element)
{
    static const char *const unclipped[] = {"optimizer.clip=0", NULL},
                             *const llama[] = {"model.architecture=llama", "model.kv_heads=2", "optimizer.clip=0",
                                               NULL},
                             *const *const models[] = {unclipped, llama};
    if (self->workers && self->workers != 4) return;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        test_run base = baseline(self, 2, element, models[i]);
        run_shards(self, &base, (test_layout){"breadth-first", 2, 2, 2, "none", "once", 2, element, "none"},
                   run_layout);
        run_shards(self, &base, (test_layout){"breadth-first-split", 2, 2, 4, "none", "once", 2, element, "full"},
                   run_layout);
    }
}

static void run_calibrations(suite *self)
{
    static const test_layout layouts[] = {{"breadth-first-split", 2, 2, 2, "none", "once", 2, "fp32", "none"},
                                          {"1f1b", 2, 2, 2, "none", "once", 2, "bf16", "full"},
                                          {"depth-first", 2, 1, 4, "none", "once", 2, "fp32", "none"},
                                          {"zb-v", 3, 2, 2, "none", "once", 2, "fp32", "none"}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        run_shards(self, &(test_run){0}, layouts[i], calibrate_layout);
}

/* Eight layouts, one step each, every one from the checkpoint of the one before. */
static void walk_chain(suite *self)
{
    static const test_layout chain[] = {
        {"gpipe", 2, 1, 1, "none", "once", 2, "bf16", "none"},
        {"breadth-first", 2, 2, 2, "weights", "once", 2, "bf16", "none"},
        {"1f1b", 2, 2, 1, "optimizer", "once", 2, "bf16", "full"},
        {"depth-first", 2, 2, 2, "weights", "once", 1, "bf16", "none"},
        {"breadth-first", 2, 1, 4, "gradients", "early", 1, "bf16", "none"},
        {"zb-h1", 2, 4, 1, "weights", "once", 2, "bf16", "none"},
        {"breadth-first-split", 2, 2, 2, "gradients", "once", 2, "bf16", "none"},
        {"breadth-first", 2, 4, 2, "weights", "early", 2, "bf16", "none"},
    };
    enum { LINKS = sizeof chain / sizeof *chain };
    test_run straight = {0}, walked = {0};
    char why[512] = "";
    weft_error error;
    snprintf(straight.folder, sizeof straight.folder, "%s/straight", self->folder);
    snprintf(walked.folder, sizeof walked.folder, "%s/walked", self->folder);
    weft_status status = test_layout_train(&straight, self->corpus, &chain[0], "local", LINKS, &error);
    for (int i = 0; i < LINKS && status == WEFT_OK; i++) {
        walked.resume = i > 0;
        walked.stop = 0;
        walked.stop_after = i + 1;
        status = test_layout_train(&walked, self->corpus, &chain[i], "local", LINKS, &error);
    }
    if (status != WEFT_OK)
        check(self, false, "chain", error.text);
    else
        check(self, test_checkpoints_agree(straight.folder, walked.folder, why, sizeof why), "chain", why);
}

/* The same batch on more workers with fewer micro-batches each. */
static void compare_widths(suite *self)
{
    static const char *const shares[][2] = {{"1", "6"}, {"2", "3"}, {"3", "2"}, {"6", "1"}};
    test_run one = {0};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        char data[64], microbatches[64];
        test_run run = {0};
        weft_error error;
        snprintf(data, sizeof data, "parallel.data=%s", shares[i][0]);
        snprintf(microbatches, sizeof microbatches, "batch.microbatches=%s", shares[i][1]);
        const char *overrides[] = {data,
                                   microbatches,
                                   "run.steps=20",
                                   "optimizer.learning_rate=1e-3",
                                   i % 2 ? "parallel.shard=weights" : "threads=1",
                                   NULL};
        snprintf(run.folder, sizeof run.folder, "%s/width-%s", self->folder, shares[i][0]);
        weft_error_clear(&error);
        if (test_train(&run, self->corpus, overrides, &error) != WEFT_OK)
            check(self, false, data, error.text);
        else if (i == 0)
            one = run;
        else
            check(self, farthest(&one, &run) < 1e-5, data, "losses differ from those of one worker by more than 1e-5");
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    suite self = {.transport = argv[1], .folder = argv[2]};
    weft_error error;
    bool mpi = strcmp(argv[1], "mpi") == 0;
    if (mpi && weft_mpi_start(&self.process, &self.workers, &error) != WEFT_OK) return 1;
    if (weft_folder_create(argv[2], &error) != WEFT_OK) return 1;
    snprintf(self.corpus, sizeof self.corpus, "%s/corpus-%d.txt", argv[2], (int)self.process);
    test_write_corpus(self.corpus);
    run_widths(&self, "fp32", 3);
    run_widths(&self, "bf16", 2);
    run_models(&self, "fp32");
    run_calibrations(&self);
    if (mpi) {
        weft_mpi_finish();
    } else {
        walk_chain(&self);
        compare_widths(&self);
    }
    if (self.process == 0) printf("%d passed, %d failed\n", self.passed, self.failed);
    return self.failed != 0 || (self.process == 0 && self.passed == 0);
}
