/* Small training runs for tests: one configuration, varied by overrides, with its losses kept. */
#ifndef TESTS_TRAIN_LAYOUTS_H
#define TESTS_TRAIN_LAYOUTS_H

#include "train/train.h"

enum { TEST_RUN_STEPS = 64, TEST_RUN_OVERRIDES = 24 };

typedef struct test_run {
    char folder[512];              /* of its checkpoints */
    double losses[TEST_RUN_STEPS]; /* by step, from 1 */
    double held_out;
    int64_t steps; /* seen by the observer */
    bool resume;
    volatile sig_atomic_t stop;
    char notes[2048];   /* what the observer was told, line by line */
    int64_t stop_after; /* asks to stop once this step was seen; 0: never */
    int64_t trial_steps;
    bool stopped;
    double calibrate_seconds;
    weft_status (*calibrated)(void *run, const weft_calibration *calibration, weft_error *error);
} test_run;

/* Writes a text of a few hundred kilobytes that a small model can learn. */
void test_write_corpus(const char *path);

/* Trains with the base configuration (8 layers, width 32, M = 6, 6 steps) and the overrides, NULL-terminated. */
weft_status test_train(test_run *run, const char *corpus, const char *const *overrides, weft_error *error);

#endif
