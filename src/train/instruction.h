/*
 * A bound program: what one worker does in one run of a program, as arrays of instructions, one for each lane. All that
 * an instruction needs to know stands in it: addresses, sizes, peers, what it waits for. An executor runs it and knows
 * nothing of gradients, shards or schedules. Internal to train/.
 *
 * Made by weft_bind (bind.h), then only read.  Owns: nothing, it lives in an arena; stages, reducers and memory are the
 * worker's.  Threads: the worker's.
 */
#ifndef WEFT_TRAIN_INSTRUCTION_H
#define WEFT_TRAIN_INSTRUCTION_H

#include "model/model.h"
#include "program/program.h"
#include "transport/reduce.h"

typedef enum weft_operation {
#define INSTRUCTION(name, operands, effect) WEFT_OPERATION_##name,
#include "train/instruction.def"
#undef INSTRUCTION
    WEFT_OPERATIONS
} weft_operation;

typedef struct weft_pass_operands {
    weft_stage *stage;
    weft_stage_buffers buffers;
    const int64_t *logits_position; /* that of this run */
} weft_pass_operands;

typedef struct weft_update_part {
    int64_t count;
    bool decay;
    const float *gradient;
    float *weight, *moment1, *moment2;
    void *storage;
} weft_update_part;

typedef struct weft_update {
    int32_t count;
    const weft_update_part *parts;
    const weft_step_scalars *scalars;
} weft_update;

/* Sums of squares of (count) values, one a block; of a parameter of the job. */
typedef struct weft_squares {
    int32_t parameter;
    int64_t count;
    const float *gradient;
    double *sums;
} weft_squares;

typedef struct weft_check {
    int32_t count;
    const weft_squares *squares;
    const double *sums; /* of all, one behind the other; out: the same in pinned memory */
    double *out;
    size_t bytes;
} weft_check;

typedef struct weft_message {
    void *memory;
    size_t bytes;
    int32_t peer, tag;
} weft_message;

typedef struct weft_gather_part {
    const void *own;
    const size_t *bytes; /* (members) */
    void *whole;
} weft_gather_part;

typedef struct weft_gather {
    int32_t group, count;
    const weft_gather_part *parts;
} weft_gather;

/* Memory that is free from now on. poison: as many bytes that are not numbers; NULL: what was there may stay. */
typedef struct weft_page {
    void *memory;
    const void *poison;
    size_t bytes;
} weft_page;

typedef struct weft_sum_part {
    float *values;
    size_t count;         /* of all values */
    const size_t *shares; /* (members) what each gets of the sum; NULL: each gets all of it */
    float *own;           /* where this worker's share of the sum comes */
    float *kept;          /* where it goes from there, (kept_count), or NULL */
    size_t kept_count;
    bool overwrite; /* what was kept before; else it is added */
    weft_page page; /* free then */
} weft_sum_part;

typedef struct weft_sum {
    weft_reducer *reducer;
    int32_t count;
    const weft_sum_part *parts;
} weft_sum;

typedef struct weft_tied {
    float *own, *other; /* (count) gradients of the same elements: other is added to own */
    size_t count;
} weft_tied;

typedef struct weft_norm_all {
    int32_t count;
    const weft_squares *squares; /* of this worker, one behind the other in own */
    double *own, *all;           /* those of all workers, by worker */
    const size_t *bytes;         /* (workers) */
    int64_t blocks;
    const int32_t *index; /* (blocks) in device memory: where each of all belongs in the order of all parameters */
    double *ordered;      /* (blocks) in that order; of one worker, own */
    weft_step_scalars *scalars;
} weft_norm_all;

typedef struct weft_metrics {
    const float *own;          /* of this worker */
    float *all;                /* (count, stride) of all workers; comes out after the program */
    const size_t *bytes;       /* (workers) */
    int64_t count, stride;     /* micro-batches of all workers; numbers of each, the first its loss */
    weft_step_scalars *judged; /* where it is written whether UPDATE does anything; NULL: it does */
} weft_metrics;

typedef struct weft_instruction {
    weft_operation operation;
    uint32_t action;            /* of the program, that it is a part of */
    bool driven;                /* with others, over a transport that the host drives: it is polled until it is there */
    bool signals;               /* another lane waits for its end */
    uint32_t waits, wait_count; /* among weft_bound.waits */
    int64_t busy, latency;      /* nanoseconds, where instructions take the time they are told */
    const char *with;           /* whom it waits for, for messages: "with rank 3", "of all ranks" */
    union {
        weft_pass_operands pass;
        weft_update update;
        weft_check check;
        weft_message message;
        weft_gather gather;
        weft_page page;
        weft_sum sum;
        weft_tied tied;
        weft_norm_all norm;
        weft_metrics metrics;
    };
} weft_instruction;

typedef struct weft_bound_lane {
    weft_lane_kind kind;
    uint32_t first, count; /* its instructions */
} weft_bound_lane;

typedef struct weft_bound {
    const weft_program *program;
    weft_bound_lane *lanes; /* the first one is the compute lane */
    int32_t lane_count;
    weft_instruction *instructions; /* by lane */
    uint32_t count;
    uint32_t *waits;                /* instructions of other lanes that an instruction comes after; none that others of
                                     * its waits, or those of its own lane before it, have come after already */
    uint32_t first_action, actions; /* of this rank */
    uint32_t *first_of;             /* (actions + 1) the instructions of each */
} weft_bound;

enum { WEFT_INSTRUCTION_TEXT = 48 };
/* Its action as people write it: "3B12", "1UNSHARD", "NORM". */
const char *weft_instruction_text(const weft_bound *bound, uint32_t instruction, char out[WEFT_INSTRUCTION_TEXT]);

#endif
