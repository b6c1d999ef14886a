/* A small made-up model whose checkpoints are written by any number of ranks. */
#ifndef WEFT_TESTS_CHECKPOINT_FIXTURE_H
#define WEFT_TESTS_CHECKPOINT_FIXTURE_H

#include "checkpoint/checkpoint.h"

enum { FIXTURE_TENSORS = 4, FIXTURE_FLOATS = 60 };

extern const char fixture_config[];

typedef struct fixture {
    weft_tensor_entry entries[FIXTURE_TENSORS]; /* data point into values */
    float values[WEFT_CHECKPOINT_KINDS][FIXTURE_FLOATS];
    char run[64], folder[96]; /* a fresh folder; the run folder in it */
} fixture;

void fixture_make(fixture *self); /* values are a function of their place */
void fixture_remove(fixture *self);

/* The tensors of one kind, as its writer names them. */
void fixture_entries(const fixture *self, weft_checkpoint_kind kind, weft_tensor_entry out[FIXTURE_TENSORS]);

/* Begins, writes as `ranks` ranks and publishes; discards after an error. */
weft_status fixture_save(const fixture *self, const char *folder, int64_t step, int32_t ranks, int64_t keep,
                         weft_error *error);

/* Fails the test with the message unless everything in the checkpoint is this model's. */
void fixture_check(const fixture *self, const char *path, int64_t step);

/* FOLDER/step-XXXXXXXX/name, in turns in one of a few static places. */
const char *fixture_path(const char *folder, int64_t step, const char *name);

#endif
