/*
 * A job: everything about a run that is known before any device is touched. Stages and their layers, the programs
 * (train and forward), the memory of each worker, the predicted timeline. --dry-run prints it; workers read it.
 *
 * Owns: all it points to but the configuration.  Lifetime: create to destroy; immutable.  Threads: any may read.
 */
#ifndef WEFT_TRAIN_JOB_H
#define WEFT_TRAIN_JOB_H

#include "model/model.h"
#include "simulate/simulate.h"
#include "train/known.h"

typedef enum weft_memory_category {
    WEFT_CATEGORY_WEIGHTS,     /* fp32 masters, and storage copies where the element is not fp32 */
    WEFT_CATEGORY_GRADIENTS,   /* fp32 */
    WEFT_CATEGORY_OPTIMIZER,   /* both Adam moments, fp32 */
    WEFT_CATEGORY_ACTIVATIONS, /* stash, work, and stage inputs handed over on one rank or received */
    WEFT_CATEGORY_MESSAGES,    /* gradients at stage boundaries, and what waits to be sent */
    WEFT_CATEGORY_WORKSPACE,   /* scratch of kernels, batch, reduction buffers, losses, sums of the norm */
    WEFT_CATEGORIES
} weft_memory_category;

/* Bytes of one worker: the sums of its rows (train/memory_plan.h), which are aligned in the blocks that it allocates.
 */
typedef struct weft_job_memory {
    size_t bytes[WEFT_CATEGORIES]; /* device memory */
    size_t total;                  /* of them */
    size_t pinned;                 /* memory of the host besides, with what transfers are staged in */
} weft_job_memory;

typedef struct weft_job_stage {
    int32_t rank, first_layer, layer_count;
    int32_t parameter_first, parameter_count; /* in the global order */
    weft_stage_shape train, forward;
    int64_t elements; /* parameters of the stage; a tied head counts in the first stage only */
} weft_job_stage;

/* Elements of the matrices that a layer multiplies by. */
typedef struct weft_job_products {
    double elements, frozen;
} weft_job_products;

/* What is gathered and reduced at once; see train/share.h. */
typedef struct weft_job_unit {
    int32_t stage, first; /* its first parameter; weft_share_next goes on from it */
    /* The unit whose weights it has: itself, or the embedding's where one rank has the tied head too. */
    int32_t weights;
    bool frozen;   /* neither reduced nor updated */
    bool summed;   /* tensor-parallel workers have parts of its gradients to add up */
    size_t floats; /* padded length of all its parameters */
    size_t *cut;   /* (data + 1) worker d has floats cut[d] .. cut[d + 1] - 1 */
} weft_job_unit;

/* What the workers of a job are there for. All but training runs the forward program alone: without gradients, moments
 * or the room that the train program would need. */
typedef enum weft_job_use {
    WEFT_JOB_TRAINS,
    WEFT_JOB_SAMPLES,   /* logits of one position of each sequence, no loss */
    WEFT_JOB_EVALUATES, /* losses of batches */
    WEFT_JOB_SHOWS,     /* and the logits of all their positions */
} weft_job_use;

typedef struct weft_job {
    const weft_config *config;
    weft_job_use use;
    weft_arena arena;
    const weft_device_kind *device;
    weft_device_options options;
    const weft_costs *costs;         /* of a rehearsal, in seconds; NULL: devices compute */
    const weft_lower_options *lower; /* of a rehearsal; read while the job is built */
    weft_known *known;               /* of whoever measures many; NULL: the device is asked */
    const weft_parameter *parameters;
    bool *frozen; /* (parameters) not trained: neither gradients nor moments; a tied head as its embedding */
    weft_job_products *products; /* (L + 1) of each layer, and of the head */
    int32_t parameter_count;
    int64_t elements; /* of the whole model, tied weights counted once */
    weft_schedule *schedule;
    weft_program *train, *forward;
    int32_t ranks, stage_count;
    int32_t data, tensor; /* data-parallel and tensor-parallel width */
    int32_t workers;      /* ranks x data x tensor; train/world.h says who is who */
    weft_shard shard;
    int32_t weight_pages, gradient_pages; /* at most, of a worker, each for one stage; 0: every stage has its own */
    bool poisons;         /* for tests: a page that is free holds no numbers, so that whoever reads it is found out */
    weft_job_unit *units; /* (unit_count) by stage */
    int32_t unit_count;
    int32_t *rank_first, *rank_units;  /* (P + 1), (units) rank r has rank_units[rank_first[r]] and so on, ascending */
    int32_t *stage_units;              /* (S + 1) units of stage s are stage_units[s] .. stage_units[s + 1] - 1 */
    int32_t *unit_of;                  /* (parameters) */
    size_t *offsets;                   /* (parameters) floats from the beginning of the unit */
    weft_job_stage *stages;            /* (S) */
    int32_t *held;                     /* (P) stages of each rank */
    size_t *page_floats;               /* (P) floats of all units of its largest stage */
    weft_job_memory *memory;           /* (P) of the worker of the rank that needs most */
    size_t *slots, *scratch;           /* (P) bytes of the slot arena and of kernel scratch */
    size_t *slot_messages;             /* (P) what of the arena holds messages */
    bool tied;                         /* the first and the last stage share a weight */
    bool tied_alias;                   /* and live on one rank: one copy of the weight and its moments */
    int32_t tied_embedding, tied_head; /* parameter indices, or -1 */
    /* (parameters + 1) index of each parameter's first norm block: those of the first tensor-parallel worker's part,
     * then those of the second's; what all of them have counts once, a tied head and what is frozen not at all. */
    int32_t *block_first;
    const size_t *kept;      /* (S) bytes of a micro-batch from F to its B or W: the stage's input and what F keeps */
    double *input_share;     /* (S) which part of the flops of B are those of I */
    weft_timeline predicted; /* of train, in units of seconds at one flop a second, or by the costs of a rehearsal */
    int64_t losses;          /* numbers that each micro-batch's loss is told in (weft_stage_losses) */
    double predicted_bubble, predicted_efficiency, step_flops;
} weft_job;

/* Builds and verifies. WEFT_INVALID for impossible layouts, and for what does not fit memory_limit with what would. */
weft_status weft_job_create(const weft_config *config, weft_job **out, weft_error *error) WEFT_CHECKED;
/* The same for a use; weft_job_create: to train. */
weft_status weft_job_create_for(const weft_config *config, weft_job_use use, weft_job **out,
                                weft_error *error) WEFT_CHECKED;

/* What a job is when its device computes_nothing: nothing is learnt, and what is predicted is in seconds. */
typedef struct weft_job_rehearsal {
    weft_schedule *schedule;         /* taken, also on error */
    const weft_costs *costs;         /* in seconds; borrowed */
    const weft_lower_options *lower; /* what the train program holds besides the schedule; NULL: what training needs */
} weft_job_rehearsal;
weft_status weft_job_create_rehearsal(const weft_config *config, const weft_job_rehearsal *rehearsal, weft_job **out,
                                      weft_error *error) WEFT_CHECKED;
void weft_job_destroy(weft_job *job);

/* What all make of a job that is all 0 but for its arena, its use and what a rehearsal sets, whether it fits or not;
 * and what frees all that such a job holds. */
weft_status weft_job_build(const weft_config *config, weft_job *job, weft_error *error) WEFT_CHECKED;
void weft_job_fini(weft_job *job);

/* The memory alone, of the worker that needs most: for whoever compares configurations of one model. Its programs are
 * lowered, since nothing else tells how large the slot arena is, but neither proved nor predicted. known: may be NULL.
 * Errors as weft_job_build. */
weft_status weft_job_measure(const weft_config *config, weft_known *known, weft_job_memory *out, int32_t *out_rank,
                             weft_error *error) WEFT_CHECKED;

/* The schedule that a configuration names: a kind or a file. */
weft_status weft_job_schedule(const weft_config *config, weft_schedule **out, weft_error *error) WEFT_CHECKED;

/* parallel.placement: auto. Chooses by plan/place.h, and within memory_limit, what takes its place, and so may
 * parallel.loops, with origin "plan"; nothing for other placements. The choice is a function of the configuration, and
 * of what the device says of its workspace where memory is limited. said: a line or two, what was chosen and why. What
 * can be no job is left as it is, for weft_job_create to refuse. */
weft_status weft_job_place(weft_config *config, weft_text *said, weft_error *error) WEFT_CHECKED;

enum { WEFT_JOB_STEP_ROWS = 32 }; /* tokens that sampling computes at once where there are several, at most */

/* What computes so many tokens of a sequence, or all of it where it is shorter, behind those in a cache, in a job whose
 * model is one stage. */
weft_stage_shape weft_job_step_shape(const weft_job *job, int64_t rows);

/* Bytes of a micro-batch that cross a stage boundary, from each tensor-parallel worker to its like. */
size_t weft_job_boundary(const weft_job *job);

/* Lines about what a user may not have meant: workers without a layer, a warm-up longer than the run, ... */
void weft_job_notes(const weft_job *job, weft_text *out);

/* For people, and as one JSON object (docs/cli.md, train --dry-run). notes: a line each, of weft_job_notes and of
 * others.
 */
void weft_job_print(const weft_job *job, const char *notes, weft_text *out);
void weft_job_print_json(const weft_job *job, const char *notes, weft_text *out);

#endif
