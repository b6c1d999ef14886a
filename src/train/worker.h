/*
 * A worker: one device, its memory, its stages, and the executors of the two programs. It decides nothing: what a
 * program does not say does not happen.
 *
 * Owns: device and its memory; job, data and transport are borrowed.  Lifetime: create to destroy.
 * Threads: everything of a worker is called by the thread that created it.
 */
#ifndef WEFT_TRAIN_WORKER_H
#define WEFT_TRAIN_WORKER_H

#include "checkpoint/checkpoint.h"
#include "convert/weights.h"
#include "data/data.h"
#include "train/clerk.h"
#include "train/instruction.h"
#include "train/memory_plan.h"
#include "train/train.h"
#include "train/world.h"

enum { WEFT_TAG_TIMES = 20000 };

/* What a worker has of a unit (train/share.h). own: its share, the whole where nothing is divided. */
typedef struct weft_unit_memory {
    float *gradient;                   /* whole, while it is added up; NULL where it is on a page */
    float *reduced;                    /* own, of the whole batch; may be part of gradient */
    float *master, *moment1, *moment2; /* own */
    void *own_storage;                 /* own; what kernels read, fp32: master */
    void *storage;                     /* whole; NULL where it is on a page */
} weft_unit_memory;

typedef struct weft_executor weft_executor;
typedef struct weft_exchange weft_exchange;

/* A batch, or this worker's share of one: (M, B, T) each. Documents, and positions in them, where data.documents asks
 * for them (model/model.h), else NULL. */
typedef struct weft_batch {
    int32_t *tokens, *targets, *documents, *positions;
} weft_batch;

/* What sums of the messages of other workers need, and kernels while they run. */
typedef struct weft_workspace {
    void *kernels, *reduce, *tensor_sum, *exchange, *tied;
} weft_workspace;

/* Of the micro-batches, each in as many numbers as the job says (weft_stage_losses). */
typedef struct weft_losses {
    float *own;    /* (M, numbers) written by the last stage */
    float *all;    /* (data, M, numbers) after METRICS, from where they come out */
    size_t *bytes; /* (workers) what each gives in METRICS */
} weft_losses;

/* Of a worker that samples token by token (steps.h). */
typedef struct weft_step_memory {
    void *cache;
    unsigned char *space;
    int32_t *positions; /* (T) */
} weft_step_memory;

/* Squares of gradients, one a norm block. */
typedef struct weft_norm_sums {
    double *own, *all, *ordered; /* own, as gathered by rank, in global order */
    int32_t *index;              /* of each of all in that order */
    size_t *bytes;               /* (workers) what each gives in NORM */
} weft_norm_sums;

/* What gathers between programs send and receive. The worker's own: after an error another rank may still copy from or
 * to it while the caller has long returned. */
typedef struct weft_gathers {
    unsigned char *part, *parts; /* (capacity), (workers, capacity) */
    size_t capacity;
    size_t *bytes; /* (workers) what each gives */
} weft_gathers;

/* What this worker knows of the others while it waits for them, and they of it (waiting.h). */
typedef struct weft_patience {
    weft_transport_report *reports; /* (2, workers) of the last interrogation, and of the one before */
    double doubted, asks_again;     /* since when nothing moved as all were seen to wait; when they are asked again */
    double attended;                /* when the transport was driven last while this worker worked */
    bool told_stop;                 /* that it was asked to stop */
} weft_patience;

enum { WEFT_BATCHES = 2, WEFT_STAGING = 2 };

/* The host's side of what goes in before a program and comes out after it (crossing.h): pinned memory, or the device's
 * own where the host reaches that. */
typedef struct weft_crossing {
    weft_stream *stream;
    bool made;
    weft_event entered[WEFT_BATCHES];
    weft_batch batches[WEFT_BATCHES]; /* what the next step reads is written while this one runs */
    int filled;                       /* the one that was written last */
    weft_step_scalars posed;          /* for the next program */
    weft_step_scalars *scalars_in, *scalars_out;
    float *losses;                        /* (data, M, numbers) of the last program */
    void *logits;                         /* as the device's, of the last program */
    unsigned char *staging[WEFT_STAGING]; /* (WEFT_STAGING_BYTES) for what is saved; NULL where the host reaches it */
} weft_crossing;

typedef struct weft_worker {
    const weft_job *job;
    weft_coordinates at;               /* at.rank: in the pipeline, that of the program */
    int32_t number;                    /* of all workers: what the transport and messages call its rank */
    const weft_train_options *options; /* the run's; NULL: sampling */
    weft_device *device;
    weft_transport *transport;
    weft_arena arena; /* host side tables */
    weft_memory_plan plan;
    unsigned char *blocks[WEFT_SPACES]; /* what is below points into them */

    weft_unit_memory *units; /* (units) all NULL where another rank has the unit */
    /* (parameters) What kernels read, and where they add gradients: whole. NULL where this worker has none, or where
     * they are on pages. */
    void **storage;
    float **gradient;
    unsigned char *weight_pages;
    float *gradient_pages;
    void *poison; /* device memory of the size of a page that holds no number; NULL where pages are not poisoned */
    struct weft_reducer *reducer;    /* NULL at a data-parallel width of one */
    struct weft_reducer *tensor_sum; /* of gradients over tensor-parallel workers; NULL at a width of one */
    struct weft_reducer *tied_sum;   /* of a weight that this and another rank share; NULL: there is none */
    struct weft_reducer *rows_sum;   /* in the middle of a pass, for exchange */
    weft_exchange *exchange;         /* in the middle of a pass (train/exchange.h); NULL: layers are not divided */
    weft_stream *streams[WEFT_PROGRAM_LANES]; /* by lane, but for messages */

    /* Device memory of one step. */
    unsigned char *slots; /* the slot arena of the programs */
    weft_workspace workspace;
    float *angles; /* of rotary positions, or NULL */
    weft_batch batch;
    weft_losses losses;
    weft_norm_sums sums;
    weft_step_scalars *scalars;
    void *logits; /* as their row (memory_plan.h), or NULL */
    weft_step_memory steps;
    int64_t logits_position; /* which of a sequence; -1: all */

    weft_crossing host;
    weft_gathers gathers;
    weft_patience patience;
    weft_clerk *clerk; /* for work that takes its time; NULL: others hear this worker without its help */

    weft_stage **train_stages, **forward_stages; /* (S) NULL where not on this rank */
    weft_executor *train, *forward;
    weft_executor *diagnosis; /* of a step that is run again, and pinned memory for what it finds; NULL until then */
    void *checks;
    int64_t step; /* the one that runs, from 1 */
} weft_worker;

/* number: of all workers. What it has of gradients, moments, programs and logits is what the use of its job needs. */
weft_status weft_worker_create(const weft_job *job, int32_t number, weft_transport *transport, weft_worker **out,
                               weft_error *error) WEFT_CHECKED;
void weft_worker_destroy(weft_worker *worker);

/* Initial weights by seed, moments zero; or from a checkpoint. */
weft_status weft_worker_init_weights(weft_worker *worker, weft_error *error) WEFT_CHECKED;
weft_status weft_worker_load(weft_worker *worker, const weft_checkpoint *checkpoint, weft_error *error) WEFT_CHECKED;
/* Weights alone; moments begin at zero. */
weft_status weft_worker_start(weft_worker *worker, const weft_weights *weights, weft_error *error) WEFT_CHECKED;

/* This worker's share of a parameter (weft_share_of): the first element of each. NULL where it has none. */
typedef struct weft_own {
    float *weight, *moment1, *moment2, *gradient;
    void *storage;
} weft_own;
weft_own weft_worker_own(const weft_worker *worker, int32_t parameter);

/* Where kernels of stages find what is not on pages. */
void weft_worker_point_units(weft_worker *worker);
/* For tests, where the job says so: no page holds a number, now or once it is free. */
weft_status weft_worker_poison_pages(weft_worker *worker, weft_error *error) WEFT_CHECKED;
/* The whole weights and the whole gradients of a unit on a page; without pages its own. */
void *weft_worker_storage_on(const weft_worker *worker, int32_t unit, int32_t page);
float *weft_worker_gradient_on(const weft_worker *worker, int32_t unit, int32_t page);
/* Where its parameters are then, in tables of its stage. */
void weft_worker_point(const weft_worker *worker, int32_t unit, void *storage, float *gradient, void **storages,
                       float **gradients);
/* A page of weights that nobody reads any more, and gradients of a unit. */
weft_page weft_worker_weight_page(const weft_worker *worker, int32_t stage, int32_t page);
weft_page weft_worker_gradient_page(const weft_worker *worker, int32_t unit, int32_t page);

/* An executor of a program, in the worker's arena. checks: see weft_bind_options. */
weft_status weft_worker_bind(weft_worker *worker, const weft_program *program, double *checks, weft_executor **out,
                             weft_error *error) WEFT_CHECKED;

/* The worker of another pipeline rank in the same pipeline. */
int32_t weft_worker_at(const weft_worker *worker, int32_t rank);

/* Runs the train or the forward program once over the batch that was filled last (crossing.h). What came out is in
 * worker->host. */
weft_status weft_worker_run(weft_worker *worker, bool forward, weft_error *error) WEFT_CHECKED;

/* Waits for a request of the run itself (between programs), with the run's timeout. what: for the message. */
weft_status weft_worker_await(weft_worker *worker, weft_request request, const char *what,
                              weft_error *error) WEFT_CHECKED;

/* Gathers equal-sized parts of all ranks between programs. The parts may lie anywhere and be gone after an error. */
weft_status weft_worker_gather(weft_worker *worker, const void *part, size_t bytes, void *all, const char *what,
                               weft_error *error) WEFT_CHECKED;

#endif
