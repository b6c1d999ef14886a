/*
 * The program: every action of one training step (or one forward pass) on lanes, with explicit dependencies and
 * buffer slots. Built once by lowering a schedule, then only read: by verify, simulate, the worker and report.
 *
 * An action starts when the one before it on its lane is done and all its `after` actions (other lanes of the same
 * rank) are done. A SEND and its RECV are one rendezvous: the k-th action of a SEND lane meets the k-th of its
 * matching RECV lane. A collective (REDUCE_TIED, NORM, METRICS) is one node over its members.
 *
 * Owns: its arrays.  Lifetime: create to destroy; immutable in between.  Threads: any may read.
 */
#ifndef WEFT_PROGRAM_PROGRAM_H
#define WEFT_PROGRAM_PROGRAM_H

#include "schedule/schedule.h"

typedef enum weft_lane_kind {
    WEFT_PROGRAM_COMPUTE,
    WEFT_PROGRAM_SEND_F,
    WEFT_PROGRAM_RECV_F,
    WEFT_PROGRAM_SEND_B,
    WEFT_PROGRAM_RECV_B,
    WEFT_PROGRAM_REDUCE,
    WEFT_PROGRAM_GATHER,
    WEFT_PROGRAM_LANES
} weft_lane_kind;

/* What data-parallel workers divide among themselves; each kind also divides what those before it do. */
typedef enum weft_shard {
    WEFT_SHARD_NONE,
    WEFT_SHARD_OPTIMIZER, /* moments and master weights; UPDATE is followed by UNSHARD */
    WEFT_SHARD_GRADIENTS, /* reduced gradients */
    WEFT_SHARD_WEIGHTS,   /* weights: UNSHARD before use, RESHARD when the buffer is wanted for another stage */
    WEFT_SHARDS
} weft_shard;

const char *const *weft_shard_names(void); /* (WEFT_SHARDS + 1) "none" to "weights", then NULL */

typedef struct weft_lane {
    weft_lane_kind kind;
    int32_t rank;
    int32_t peer;  /* the other rank of a message lane, else -1 */
    int32_t match; /* index of the peer's matching message lane, else -1 */
    int32_t tag;   /* message lanes: the same on both ends, unique in the program for a (sender, receiver) pair */
    uint32_t first, count; /* its actions */
} weft_lane;

/* What a slot is for. Stage s, micro-batch m; s - 1 and s + 1 are its neighbours. */
typedef enum weft_slot_kind {
    WEFT_SLOT_INPUT,    /* what F reads: written by RECV_F, or by F of s - 1 on the same rank; kept until B or W */
    WEFT_SLOT_OUTPUT,   /* what F writes for another rank: until SEND_F is done */
    WEFT_SLOT_STASH,    /* what F keeps for the backward pass (a forward program: scratch of F) */
    WEFT_SLOT_GRADIENT, /* gradient of the stage's output: written by RECV_B, or by B/I of s + 1; kept until B or W */
    WEFT_SLOT_GRADIENT_OUT, /* gradient of the stage's input for another rank: until SEND_B is done */
    WEFT_SLOT_WORK,         /* what I keeps for W (only where the schedule splits the backward pass) */
    WEFT_SLOT_KINDS
} weft_slot_kind;

const char *weft_slot_kind_name(weft_slot_kind kind);

/* One piece of a rank's slot arena; its tenants follow each other in time. */
typedef struct weft_buffer {
    int32_t rank;
    weft_slot_kind kind; /* of its first tenant: for reports */
    size_t bytes;        /* a multiple of the program's alignment */
    size_t offset;       /* in the rank's slot arena; a multiple of the alignment */
} weft_buffer;

/* In which of its rank's buffers (pages) a pass finds the weights of its stage, and in which B and W leave gradients:
 * that of the UNSHARD before it, and that of the REDUCE_GRAD behind it. */
typedef struct weft_pages {
    uint16_t weights, gradients;
} weft_pages;
enum { WEFT_PAGES_LIMIT = UINT16_MAX };

/* What tensor-parallel workers exchange in the middle of one pass: program->tensor of them take part. */
typedef struct weft_exchanges {
    int32_t count; /* one behind the other */
    size_t bytes;  /* of all together, that each worker receives */
} weft_exchanges;

/* Bytes that lowering needs to know, per stage; zero is allowed (stage 0 has no input message). */
typedef struct weft_slot_sizes {
    const size_t *input; /* (S) also the output of s - 1 and both gradients at that boundary */
    const size_t *stash; /* (S) */
    const size_t *work;  /* (S) */
} weft_slot_sizes;

typedef struct weft_program {
    int32_t ranks, stages, microbatches;
    bool forward_only, clip, skip; /* UPDATE waits for NORM; for METRICS, and so for NORM too */
    int32_t data, tensor; /* widths: every rank of the program is data x tensor workers, which run the same actions.
                             Where data > 1 stages have REDUCE_GRAD, where tensor > 1 REDUCE_TENSOR before it */
    weft_shard shard;
    int32_t weight_buffers, gradient_buffers; /* of each rank; 0: one a stage */
    int32_t *stage_rank;                      /* (S) */
    weft_lane *lanes;                         /* grouped by rank; the first lane of a rank is its COMPUTE lane */
    int32_t *rank_lanes;                      /* (P + 1) lanes of rank r are rank_lanes[r] .. rank_lanes[r + 1] - 1 */
    weft_action *actions;                     /* grouped by lane */
    uint32_t action_count;                    /* at most 2^32 - 2 */
    uint32_t *after_first;                    /* (actions + 1) into after */
    uint32_t *after;                          /* actions of other lanes of the same rank that must be done first */
    weft_pages *pages;         /* (actions) of passes, 0 of all else; NULL: every stage has its own for good, which is
                                  where neither weights are sharded nor gradients reduced early */
    weft_exchanges *exchanges; /* (WEFT_PASS_KINDS, S) by kind and stage; NULL: none are known */

    /* NULL where the program was lowered without sizes: */
    weft_buffer *buffers; /* by rank, ascending */
    int32_t buffer_count;
    int32_t *slots;      /* (WEFT_SLOT_KINDS, S, M) buffer index, or -1: read through weft_program_slot */
    size_t *arena_bytes; /* (P) size of each rank's slot arena */
    size_t alignment;    /* of buffers */
} weft_program;

typedef struct weft_lower_options {
    bool update; /* UPDATE of every stage at the end */
    bool norm;   /* NORM */
    bool clip;   /* UPDATE waits for NORM */
    bool skip;   /* UPDATE waits for METRICS, which decide whether it does anything */
    bool tied; /* REDUCE_TIED between the rank of stage 0 and the rank of stage S - 1 (one node on one rank if equal) */
    bool metrics; /* METRICS at the end */
    /* data > 1: REDUCE_GRAD once a step and stage, or, with gradient_buffers, whenever a buffer is wanted for another
     * stage (only where gradients are sharded); UNSHARD and RESHARD by shard, with weight_buffers for gathered stages.
     * 0 buffers: one a stage. Loads are the fewest that the order and the buffers allow. */
    int32_t data;
    /* tensor > 1: REDUCE_TENSOR in front of each REDUCE_GRAD, or in its place where data is 1. */
    int32_t tensor;
    weft_shard shard;
    int32_t weight_buffers, gradient_buffers;
    const weft_exchanges *exchanges; /* (WEFT_PASS_KINDS, S) for the program to tell; NULL: none are known */
    const weft_slot_sizes *sizes;    /* NULL: dependencies only, no slots */
    size_t alignment;                /* of buffers, as the device wants it; 0: WEFT_ALIGNMENT */
    const double *stage_cost;        /* (S) time of F relative to each other, NULL for equal: which slots to share */
} weft_lower_options;

/* Lowers a schedule. Forward programs ignore update, norm, clip, skip and tied; clip implies norm, skip norm and
 * metrics. WEFT_INVALID when the schedule cannot be executed, with the missing or circular actions named. Cost: linear
 * in the actions, times the lanes of a rank for slots. */
weft_status weft_program_create(const weft_schedule *schedule, const weft_lower_options *options, weft_program **out,
                                weft_error *error) WEFT_CHECKED;
void weft_program_destroy(weft_program *program);

/* Buffer index of a slot, or -1 when that stage and micro-batch has none. A stage's F writes its output to
 * weft_program_output: INPUT of s + 1 when both are on one rank, else OUTPUT of s; -1 for the last stage. The same for
 * the gradient of its input: GRADIENT of s - 1, else GRADIENT_OUT of s; -1 for stage 0. */
int32_t weft_program_slot(const weft_program *program, weft_slot_kind kind, int32_t stage, int32_t microbatch);
int32_t weft_program_output(const weft_program *program, int32_t stage, int32_t microbatch);
int32_t weft_program_gradient_out(const weft_program *program, int32_t stage, int32_t microbatch);

/* Whether ranks have several workers, so that gradients are reduced. */
static inline bool weft_program_reduces(const weft_program *program)
{
    return program->data > 1 || program->tensor > 1;
}

/* Whether actions have pages: weights are sharded, or gradients reduced early, over data-parallel workers. */
bool weft_program_has_pages(const weft_program *program);

/* Where a pass works; 0 for what has no pages. */
static inline weft_pages weft_program_pages(const weft_program *program, uint32_t action)
{
    return program->pages ? program->pages[action] : (weft_pages){0, 0};
}

/* Sum of the buffer bytes of one rank by the kind of their first tenant. */
void weft_program_memory(const weft_program *program, int32_t rank, size_t bytes[WEFT_SLOT_KINDS]);

/* Proves that the program computes what the schedule says and cannot deadlock under rendezvous (docs/programs.md,
 * Validity), using only stage_rank, lanes, actions, pages, after and slots. WEFT_INVALID with a counter-example a
 * person can read: the missing or doubled action, the dependency that nothing enforces, the slot with two tenants, or
 * the shortest cycle as "rank 1 waits to run 2F0 because ...". */
weft_status weft_program_verify(const weft_program *program, weft_error *error) WEFT_CHECKED;

/* Whether a verified program ends, too, when all messages of a rank go through one queue, in the order of the rank's
 * row in `order`: the schedule with messages that the program was lowered from, or with those of its passes written
 * out. WEFT_INVALID with the shortest circle where it does not. */
weft_status weft_program_verify_one_queue(const weft_program *program, const weft_schedule *order,
                                          weft_error *error) WEFT_CHECKED;

/* For people and tests: one line an action: rank, lane, action, whether it adds to gradients where others overwrite,
 * its pages, after. */
void weft_program_print(const weft_program *program, weft_text *out);

/* When each action of a program began and ended: simulated or measured, the same type. Seconds from the step's start.
 */
typedef struct weft_timeline {
    const weft_program *program; /* borrowed */
    double *begin, *end;         /* (actions) */
    double *exchanges;           /* (WEFT_PASS_KINDS, S) how much of a pass is exchanges, or NULL: that is not known */
} weft_timeline;

weft_status weft_timeline_init(weft_timeline *timeline, const weft_program *program, weft_error *error) WEFT_CHECKED;
void weft_timeline_fini(weft_timeline *timeline);
/* When the last action ends; 0 where there is none. */
double weft_timeline_end(const weft_timeline *timeline);
/* Fills exchanges by what the program tells of them: each takes a latency and the time of its bytes. Nothing where the
 * program tells of none. */
weft_status weft_timeline_add_exchanges(weft_timeline *timeline, double latency, double bytes_a_second,
                                        weft_error *error) WEFT_CHECKED;
/* A rank begins a message, or what all ranks do together, when it asks for it; simulated, it begins when the others
 * can, too: makes the first like the second. Ends stay as they are. */
void weft_timeline_meet(weft_timeline *timeline);

#endif
