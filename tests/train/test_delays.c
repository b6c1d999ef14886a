/*
 * Random delays in every message and gather, also those in the middle of a pass, change nothing but time: small runs at
 * random layouts leave the losses and checkpoints of the same layout without delays, bit for bit. On device reference,
 * whose every instruction the thread sanitizer sees.
 *
 * Usage: test_delays local FOLDER RUNS [FIRST], or under mpirun -n N: test_delays mpi FOLDER RUNS [FIRST], which draws
 * layouts of N workers. FIRST: the seed of the first run (0).
 */
#include "layouts.h"

#include "base/file.h"
#include "base/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const struct {
    const char *name;
    int least_loops, most_loops;
} schedules[] = {{"sequential", 1, 2}, {"gpipe", 1, 3},
                 {"1f1b", 1, 3},       {"depth-first", 1, 3},
                 {"hybrid", 1, 3},     {"breadth-first", 1, 3},
                 {"zb-h1", 1, 2},      {"interleaved-zero-bubble", 1, 3},
                 {"zb-v", 2, 2},       {"breadth-first-split", 1, 3},
                 {"dualpipe-v", 2, 2}, {"v-half", 2, 2}};

enum { LAYERS = 8, STEPS = 3, THREADS = 18 };
static const double shortest_delay = 2e-5, longest_delay = 1e-3; /* seconds; what bounds the delays of a run */

typedef struct dice {
    weft_random_key key;
    uint64_t thrown;
} dice;

static int draw(dice *d, int from, int to)
{
    return from + (int)(weft_random_bits(d->key, d->thrown++) % (uint64_t)(to - from + 1));
}

static test_layout draw_layout(dice *d)
{
    static const char *const shards[] = {"none", "optimizer", "gradients", "weights"};
    static const int tensors[] = {1, 1, 1, 1, 2, 2, 2, 4};
    size_t schedule = (size_t)draw(d, 0, sizeof schedules / sizeof *schedules - 1);
    int data = draw(d, 1, 3), pipeline = draw(d, 1, 3);
    int shard = data > 1 ? draw(d, 0, 3) : 0, early = draw(d, 0, 1);
    int most = LAYERS / pipeline < schedules[schedule].most_loops ? LAYERS / pipeline : schedules[schedule].most_loops;
    return (test_layout){.schedule = schedules[schedule].name,
                         .data = data,
                         .pipeline = pipeline,
                         .loops = draw(d, schedules[schedule].least_loops, most),
                         .shard = shards[shard],
                         .reduce = early && shard >= 2 ? "early" : "once",
                         .buffers = draw(d, 1, 3),
                         .element = draw(d, 0, 1) ? "bf16" : "fp32",
                         .recompute = draw(d, 0, 3) ? "none" : "full",
                         .tensor = tensors[draw(d, 0, 7)]};
}

/* A layout with something to delay, of as many workers as there are. */
static test_layout draw_fitting(const test_suite *self, dice *d)
{
    for (;;) {
        test_layout l = draw_layout(d);
        int workers = l.data * l.pipeline * l.tensor;
        if (self->workers ? workers == self->workers : workers > 1 && workers <= THREADS) return l;
    }
}

static void check(test_suite *self, uint64_t seed, const char *name, bool good, const char *why)
{
    self->passed += good;
    self->failed += !good;
    if (!good) fprintf(stderr, "FAILED %s with delays of seed %" PRIu64 ": %s\n", name, seed, why);
}

/* The first process alone runs without delays, as threads. */
static void run_one(test_suite *self, uint64_t seed)
{
    dice d = {.key = weft_random_key_make(seed, "layout")};
    test_layout l = draw_fitting(self, &d);
    test_run plain = {.device = "reference"}, slow = {.device = "reference", .delay_seed = seed};
    char name[256], why[512] = "";
    weft_error error;
    double share = weft_random_uniform(d.key, d.thrown++);
    slow.delay_longest = shortest_delay * pow(longest_delay / shortest_delay, share);
    test_layout_name(&l, name, sizeof name);
    snprintf(plain.folder, sizeof plain.folder, "%s/plain-%" PRIu64, self->folder, seed);
    snprintf(slow.folder, sizeof slow.folder, "%s/slow-%" PRIu64, self->folder, seed);
    weft_status status = WEFT_OK;
    if (self->process == 0) status = test_layout_train(&plain, self->corpus, &l, "local", STEPS, &error);
    if (status == WEFT_OK) status = test_layout_train(&slow, self->corpus, &l, self->transport, STEPS, &error);
    if (self->process != 0) return;
    bool same = status == WEFT_OK && test_runs_agree(&plain, &slow, why, sizeof why);
    check(self, seed, name, same, status == WEFT_OK ? why : error.text);
    if (same &&
        (weft_folder_remove(plain.folder, &error) != WEFT_OK || weft_folder_remove(slow.folder, &error) != WEFT_OK))
        check(self, seed, name, false, error.text);
}

int main(int argc, char **argv)
{
    test_suite self;
    int64_t runs = 0, first = 0;
    if (argc != 4 && argc != 5) return 2;
    if (!weft_parse_int(argv[3], &runs) || (argc == 5 && !weft_parse_int(argv[4], &first))) return 2;
    if (!test_suite_begin(&self, argv[1], argv[2])) return 2;
    for (int64_t i = 0; i < runs; i++) run_one(&self, (uint64_t)(first + i));
    return test_suite_end(&self);
}
