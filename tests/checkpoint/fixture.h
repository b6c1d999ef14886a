/* A small made-up model whose checkpoints are written by any number of ranks, whole tensors or a part of each. */
#ifndef WEFT_TESTS_CHECKPOINT_FIXTURE_H
#define WEFT_TESTS_CHECKPOINT_FIXTURE_H

#include "base/random.h"
#include "checkpoint/checkpoint.h"

enum { FIXTURE_TENSORS = 4, FIXTURE_FLOATS = 60 };

extern const char fixture_config[];

typedef enum fixture_cut {
    FIXTURE_WHOLE,   /* each rank writes some of the tensors */
    FIXTURE_RUNS,    /* each rank writes a part of every tensor: consecutive elements */
    FIXTURE_COLUMNS, /* or columns */
} fixture_cut;

typedef struct fixture {
    float values[WEFT_CHECKPOINT_KINDS][FIXTURE_FLOATS];
    float packed[WEFT_CHECKPOINT_KINDS][FIXTURE_FLOATS]; /* of columns as fixture_parts handed them out */
    char run[64], folder[96];                            /* a fresh folder; the run folder in it */
    fixture_cut cut;
    const weft_tensor_source *source; /* of the values when they are saved; NULL: they are in memory of the host */
} fixture;

void fixture_make(fixture *self); /* values are a function of their place */
void fixture_remove(fixture *self);

/* The tensors of one kind, as its writer names them: whole, or the parts of one of so many ranks. */
void fixture_pieces(const fixture *self, weft_checkpoint_kind kind, weft_checkpoint_piece out[FIXTURE_TENSORS]);
void fixture_parts(fixture *self, weft_checkpoint_kind kind, int32_t rank, int32_t ranks,
                   weft_checkpoint_piece out[FIXTURE_TENSORS]);

/* Begins, writes as `ranks` ranks and publishes; discards after an error. */
weft_status fixture_save(fixture *self, const char *folder, int64_t step, int32_t ranks, int64_t keep,
                         weft_error *error);

/* Puts a checkpoint into the folder as anyone could make one, past all proofs: tensor i of safetensors into file i of
 * the weights, with checksums that fit. */
void fixture_forge(const char *folder, int64_t step, const weft_tensor_entry *tensors, int32_t count);

/* Writes step's manifest over these files. */
void fixture_list(const char *folder, int64_t step, const weft_checkpoint_file *files, size_t count);

/* Fails the test with the message unless everything in the checkpoint is this model's. */
void fixture_check(const fixture *self, const char *path, int64_t step);

/* Fails the test with the message unless it opens. */
weft_checkpoint *fixture_open(const char *path);

/* Fails the test unless the checkpoints are the same, or what differs is told in words that begin so. */
void fixture_compare(const char *a, const char *b, const char *begin);

/* Numbers drawn in a row, the same ones in every run. */
typedef struct fixture_dice {
    weft_random_key key;
    uint64_t turn;
} fixture_dice;

int64_t fixture_draw(fixture_dice *from, int64_t below);

/* FOLDER/step-XXXXXXXX/name, in turns in one of a few static places. */
const char *fixture_path(const char *folder, int64_t step, const char *name);

#endif
