/*
 * Tensors of a checkpoint, read whole, for tests that look at numbers.
 *
 * Owns: all it points to.  Lifetime: open to close.  Threads: one.
 */
#ifndef TESTS_TRAIN_TENSORS_H
#define TESTS_TRAIN_TENSORS_H

#include "checkpoint/checkpoint.h"
#include "model/model.h"

typedef struct test_tensors {
    weft_config config; /* the run's that wrote it */
    weft_arena arena;
    const weft_parameter *parameters; /* undivided */
    int32_t count;
    weft_checkpoint *checkpoint;
} test_tensors;

/* The latest checkpoint in a run's folder. Nothing is to close after an error. */
weft_status test_tensors_open(test_tensors *tensors, const char *folder, weft_error *error) WEFT_CHECKED;
void test_tensors_close(test_tensors *tensors);

bool test_tensors_have(const test_tensors *tensors, weft_checkpoint_kind kind, int32_t parameter);

/* To free; NULL after an error. A tied head is no tensor. */
float *test_tensors_read(const test_tensors *tensors, weft_checkpoint_kind kind, int32_t parameter, weft_error *error);

/* ||a - b|| / ||b|| */
double test_tensors_distance(const float *a, const float *b, int64_t count);

#endif
