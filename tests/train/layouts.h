/* Small training runs for tests: one configuration, varied by overrides, with its losses kept. */
#ifndef TESTS_TRAIN_LAYOUTS_H
#define TESTS_TRAIN_LAYOUTS_H

#include "train/train.h"

enum { TEST_RUN_STEPS = 64, TEST_RUN_OVERRIDES = 32 };

typedef struct test_run {
    char folder[512];                                     /* of its checkpoints */
    const char *device;                                   /* NULL: the configuration's own */
    const char *const *model;                             /* overrides that come first, NULL-terminated; NULL: none */
    double losses[TEST_RUN_STEPS], norms[TEST_RUN_STEPS]; /* by step, from 1 */
    weft_skipped skipped[TEST_RUN_STEPS];
    double held_out;
    int64_t steps; /* seen by the observer */
    bool resume, poisons;
    volatile sig_atomic_t stop;
    char notes[2048];   /* what the observer was told, line by line */
    int64_t stop_after; /* asks to stop once this step was seen, so that one more is run; 0: never */
    int64_t trial_steps;
    bool stopped;
    double calibrate_seconds;
    int calibrated_stages; /* for its observer: how many there are */
    bool calibrated_gathers;
    double delay_longest;
    uint64_t delay_seed;
    weft_status (*calibrated)(void *run, const weft_calibration *calibration, weft_error *error);
} test_run;

/* Writes a text of a few hundred kilobytes that a small model can learn. */
void test_write_corpus(const char *path);

/* Trains with the base configuration (8 layers, width 32, M = 6, 6 steps) and the overrides, NULL-terminated. */
weft_status test_train(test_run *run, const char *corpus, const char *const *overrides, weft_error *error);

/* How a run is divided: values of the configuration keys. */
typedef struct test_layout {
    const char *schedule;
    int data, pipeline, loops;
    const char *shard, *reduce;
    int buffers;
    const char *element, *recompute;
    int tensor; /* 0 stands for 1 */
} test_layout;

/* The job that test_train would run, to destroy before its configuration. On error there is nothing left. */
weft_status test_job(const test_run *run, const char *corpus, const char *const *overrides, weft_config *config,
                     weft_job **job, weft_error *error);

void test_layout_name(const test_layout *layout, char *out, size_t size);

/* test_train with this layout. steps 0: those of the base configuration. */
weft_status test_layout_train(test_run *run, const char *corpus, const test_layout *layout, const char *transport,
                              int64_t steps, weft_error *error);
weft_status test_layout_job(const test_run *run, const char *corpus, const test_layout *layout, const char *transport,
                            weft_config *config, weft_job **job, weft_error *error);

/* Whether losses, gradient norms and checkpoints are the same, bit for bit; why: what is not. */
bool test_runs_agree(const test_run *a, const test_run *b, char *why, size_t size);
bool test_checkpoints_agree(const char *a, const char *b, char *why, size_t size);

/* The largest relative difference of any of their losses and of their first gradient norms: weights are the same then.
 */
double test_runs_farthest(const test_run *a, const test_run *b);

/* The runs of one transport, and how many were as they should be. */
typedef struct test_suite {
    const char *transport, *folder;
    char corpus[512];
    int32_t process, workers; /* workers 0: any number */
    int stride, seen;         /* every stride-th of the layouts seen that fit is run; 0 stands for 1 */
    int turn;                 /* counts runs of one layout, for their folders */
    const char *device;       /* what layouts run on, NULL: the configuration's */
    const char *baseline;     /* what baselines run on where device is set, NULL: reference */
    int passed, failed;
} test_suite;

/* Starts MPI for transport mpi; makes the folder and the process's corpus in it. */
bool test_suite_begin(test_suite *suite, const char *transport, const char *folder);
/* The same from a program's arguments: TRANSPORT FOLDER [STRIDE]. */
bool test_suite_begin_arguments(test_suite *suite, int argc, char **argv);
/* Prints the counts. Returns the program's exit status. */
int test_suite_end(test_suite *suite);
void test_suite_check(test_suite *suite, bool good, const char *name, const char *why);
/* Whether there are as many workers as the layout wants. */
bool test_suite_fits(const test_suite *suite, const test_layout *layout);
/* Whether it fits and its turn has come. */
bool test_suite_takes(test_suite *suite, const test_layout *layout);

/* The run of an element type and a model at these widths on one pipeline rank without sharding, as threads: every
 * process makes its own. */
test_run test_suite_baseline(test_suite *suite, int data, int tensor, const char *element, const char *const *model);

/* Checks a layout, whatever its turn, against the baseline of its widths: the same bits, or, where an early reduction
 * groups micro-batches otherwise, the same losses within rounding. model: overrides of this run. Free pages hold no
 * numbers. */
void test_suite_compare(test_suite *suite, const test_layout *layout, const char *const *model, const test_run *base);

/* Schedules of every kind that divides its work otherwise, at lengths and loops that go with two workers a pipeline. */
typedef struct test_pipeline {
    const char *schedule;
    int pipeline, loops;
} test_pipeline;
enum { TEST_PIPELINES = 9 };
extern const test_pipeline test_pipelines[TEST_PIPELINES];

/* What is done with a layout, with the baseline's model. */
typedef void test_suite_function(test_suite *suite, const test_layout *layout, const test_run *base);
/* Compares it if its turn has come. */
void test_suite_compare_model(test_suite *suite, const test_layout *layout, const test_run *base);

/* Calls the function for these pipelines at these widths, with every kind of sharding where there are several
 * data-parallel workers, every other one with recomputation. */
void test_suite_pipelines(test_suite *suite, const test_run *base, int data, int tensor, const char *element,
                          test_suite_function *run);

/* Whether the turn of any of these comes; where it does not, all have had none, and no baseline is needed. */
bool test_suite_pipelines_come(test_suite *suite, int data, int tensor, const char *element);

/* Calls the function for every kind of sharding, both reductions, and one and two buffers where these matter. */
void test_suite_shards(test_suite *suite, const test_run *base, test_layout layout, test_suite_function *run);

/* Twenty steps of one batch of 6 micro-batches at so many data-parallel and tensor-parallel workers: losses within 1e-5
 * of those of one worker. widths: (count, 2), the first {1, 1}. */
void test_suite_widths(test_suite *suite, const char *const *model, const int (*widths)[2], size_t count);

/* A step at every layout of the chain, each from the checkpoint of the one before, against as many at the first. */
void test_suite_chain(test_suite *suite, const test_layout *chain, int count);

#endif
