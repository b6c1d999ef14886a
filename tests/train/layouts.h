/* Small training runs for tests: one configuration, varied by overrides, with its losses kept. */
#ifndef TESTS_TRAIN_LAYOUTS_H
#define TESTS_TRAIN_LAYOUTS_H

#include "train/train.h"

enum { TEST_RUN_STEPS = 64, TEST_RUN_OVERRIDES = 24 };

typedef struct test_run {
    char folder[512];              /* of its checkpoints */
    const char *device;            /* NULL: the configuration's own */
    const char *const *model;      /* overrides that come first, NULL-terminated; NULL: none */
    double losses[TEST_RUN_STEPS]; /* by step, from 1 */
    double held_out;
    int64_t steps; /* seen by the observer */
    bool resume, poisons;
    volatile sig_atomic_t stop;
    char notes[2048];   /* what the observer was told, line by line */
    int64_t stop_after; /* asks to stop once this step was seen; 0: never */
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
} test_layout;

void test_layout_name(const test_layout *layout, char *out, size_t size);

/* test_train with this layout. steps 0: those of the base configuration. */
weft_status test_layout_train(test_run *run, const char *corpus, const test_layout *layout, const char *transport,
                              int64_t steps, weft_error *error);

/* Whether losses and checkpoints are the same, bit for bit; why: what is not. */
bool test_runs_agree(const test_run *a, const test_run *b, char *why, size_t size);
bool test_checkpoints_agree(const char *a, const char *b, char *why, size_t size);

#endif
