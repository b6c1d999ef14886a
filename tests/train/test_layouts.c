/*
 * The promise of the same bits: every schedule, pipeline length, loop count, transport and recomputation choice leaves
 * the losses and the checkpoint of the one-worker run, bit for bit.
 *
 * Usage: test_layouts local FOLDER, or under mpirun -n P: test_layouts mpi FOLDER, which runs the layouts of P workers.
 */
#include "layouts.h"

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "transport/transport.h"

#include <stdio.h>
#include <stdlib.h>
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

typedef struct {
    const char *transport, *folder;
    char corpus[512];
    int passed, failed;
    bool leads;
} suite;

static void fail(suite *self, const char *name, const char *why)
{
    self->failed++;
    fprintf(stderr, "FAILED %s: %s\n", name, why);
}

/* The one-worker run of an element type; every process makes its own where there are several. */
static void run_baseline(suite *self, const char *device, const char *element, int process, test_run *baseline)
{
    char device_override[64], element_override[64];
    snprintf(device_override, sizeof device_override, "device=%s", device);
    snprintf(element_override, sizeof element_override, "element=%s", element);
    *baseline = (test_run){0};
    snprintf(baseline->folder, sizeof baseline->folder, "%s/baseline-%s-%s-%d", self->folder, device, element, process);
    const char *overrides[] = {device_override, element_override, "parallel.schedule=gpipe", NULL};
    weft_error error;
    if (test_train(baseline, self->corpus, overrides, &error) != WEFT_OK) {
        fprintf(stderr, "baseline: %s\n", error.text);
        exit(1);
    }
    if (!(baseline->losses[6] < baseline->losses[1])) fail(self, baseline->folder, "the baseline does not learn");
}

static void compare(suite *self, const char *name, const test_run *baseline, const test_run *run)
{
    if (run->steps != baseline->steps) fail(self, name, "other number of steps");
    for (int64_t i = 1; i <= baseline->steps; i++)
        if (memcmp(&baseline->losses[i], &run->losses[i], sizeof(double)) != 0) {
            fail(self, name, "other losses");
            return;
        }
    if (memcmp(&baseline->held_out, &run->held_out, sizeof(double)) != 0) fail(self, name, "other held-out loss");
    bool same = false;
    weft_text difference;
    weft_error error;
    weft_text_init(&difference);
    if (weft_checkpoint_compare(baseline->folder, run->folder, &same, &difference, &error) != WEFT_OK)
        fail(self, name, error.text);
    else if (!same)
        fail(self, name, weft_text_get(&difference));
    else
        self->passed++;
    weft_text_fini(&difference);
}

static void run_layout(suite *self, const test_run *baseline, const char *device, const char *schedule, int ranks,
                       int loops, const char *element, const char *recompute)
{
    char name[256], set[7][64];
    snprintf(name, sizeof name, "%s-%s-%s-P%d-V%d-%s-%s", self->transport, device, schedule, ranks, loops, element,
             recompute);
    snprintf(set[0], sizeof set[0], "device=%s", device);
    snprintf(set[1], sizeof set[1], "parallel.schedule=%s", schedule);
    snprintf(set[2], sizeof set[2], "parallel.pipeline=%d", ranks);
    snprintf(set[3], sizeof set[3], "parallel.loops=%d", loops);
    snprintf(set[4], sizeof set[4], "element=%s", element);
    snprintf(set[5], sizeof set[5], "recompute=%s", recompute);
    snprintf(set[6], sizeof set[6], "transport=%s", self->transport);
    const char *overrides[] = {set[0], set[1], set[2], set[3], set[4], set[5], set[6], NULL};
    test_run run = {0};
    weft_error error;
    weft_error_clear(&error);
    snprintf(run.folder, sizeof run.folder, "%s/%s", self->folder, name);
    if (test_train(&run, self->corpus, overrides, &error) != WEFT_OK)
        fail(self, name, error.text);
    else if (self->leads)
        compare(self, name, baseline, &run);
}

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

static void run_all(suite *self, const char *device, int ranks, int process)
{
    for (size_t e = 0; e < 2; e++) {
        test_run baseline;
        run_baseline(self, device, elements[e], process, &baseline);
        for (size_t s = 0; s < sizeof schedules / sizeof *schedules; s++)
            for (int loops = 1; loops <= 2; loops++)
                for (size_t r = 0; r < 2 && fits(schedules[s], ranks, loops); r++)
                    run_layout(self, &baseline, device, schedules[s], ranks, loops, elements[e], recomputes[r]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    suite self = {.transport = argv[1], .folder = argv[2], .leads = true};
    weft_error error;
    const char *device = weft_device_kind_find("cpu") ? "cpu" : "reference";
    int32_t rank = 0, size = 0;
    bool mpi = strcmp(argv[1], "mpi") == 0;
    if (mpi && weft_mpi_start(&rank, &size, &error) != WEFT_OK) return 1;
    self.leads = rank == 0;
    if (weft_folder_create(argv[2], &error) != WEFT_OK) return 1;
    snprintf(self.corpus, sizeof self.corpus, "%s/corpus-%d.txt", argv[2], rank);
    test_write_corpus(self.corpus);
    if (mpi) {
        run_all(&self, device, size, rank);
        weft_mpi_finish();
    } else {
        for (int ranks = 1; ranks <= 4; ranks *= 2) run_all(&self, device, ranks, ranks);
    }
    if (self.leads) printf("%d passed, %d failed\n", self.passed, self.failed);
    return self.failed != 0 || (self.leads && self.passed == 0);
}
