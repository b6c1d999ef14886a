/*
 * A worker: one device, its memory, its stages, and the executors of the two programs. It decides nothing: what a
 * program does not say does not happen.
 *
 * Owns: device and memory; job, data and transport are borrowed.  Lifetime: create to destroy.
 * Threads: everything of a worker is called by the thread that created it.
 */
#ifndef WEFT_TRAIN_WORKER_H
#define WEFT_TRAIN_WORKER_H

#include "checkpoint/checkpoint.h"
#include "data/data.h"
#include "train/clerk.h"
#include "train/share.h"
#include "train/train.h"
#include "train/world.h"

enum { WEFT_TAG_TIED = 20000, WEFT_TAG_TIMES };

/* What a worker has of a unit (train/share.h). own: its share, the whole where nothing is divided. */
typedef struct weft_unit_memory {
    float *gradient;                   /* whole, while it is added up; NULL where it is on a page */
    float *reduced;                    /* own, of the whole batch; may be part of gradient */
    float *master, *moment1, *moment2; /* own */
    void *own_storage;                 /* own; what kernels read, fp32: master */
    void *storage;                     /* whole; NULL where it is on a page */
} weft_unit_memory;

typedef struct weft_executor weft_executor;

typedef struct weft_worker {
    const weft_job *job;
    weft_coordinates at; /* at.rank: in the pipeline, that of the program */
    int32_t number;      /* of all workers: what the transport and messages call its rank */
    weft_device *device;
    weft_transport *transport;
    weft_arena arena;      /* host side tables */
    unsigned char *memory; /* one device allocation; everything below points into it */

    weft_unit_memory *units; /* (units) all NULL where another rank has the unit */
    /* (parameters) What kernels read, and where they add gradients: whole. NULL where this worker has none, or where
     * they are on a page that another stage is on. */
    void **storage;
    float **gradient;
    unsigned char *weight_pages;
    float *gradient_pages;
    struct weft_reducer *reducer;    /* NULL at a data-parallel width of one */
    struct weft_reducer *tensor_sum; /* of gradients over tensor-parallel workers; NULL at a width of one */
    struct weft_reducer *rows_sum;   /* in the middle of a pass, for exchange */
    struct weft_exchange *exchange;  /* in the middle of a pass (train/exchange.h); NULL: layers are not divided */
    void *reduce_workspace, *tensor_sum_workspace, *exchange_workspace;

    unsigned char *slots;                       /* the slot arena of the programs */
    void *scratch, *tied_piece;                 /* kernel workspace; one piece of the other side's shared gradient */
    int32_t *tokens, *targets;                  /* (M, B, T) of the current batch */
    float *losses;                              /* (M) written by the last stage */
    double *own_sums, *all_sums, *ordered_sums; /* norm blocks: own, as gathered by rank, in global order */
    weft_step_scalars *scalars;
    float *batch_losses; /* (data, M) on the host, after METRICS */
    void *logits;        /* sampling: (B, V) storage, else NULL */
    int64_t logits_position;
    size_t *sum_bytes, *loss_bytes;     /* (workers) what each gives in NORM and METRICS */
    size_t *equal_bytes;                /* (workers) what each gives in a gather between programs */
    size_t *share_bytes, *share_floats; /* (data) what each gives in UNSHARD, and gets in REDUCE_GRAD */
    /* What such a gather sends and receives. The worker's own: after an error another rank may still copy from or to it
     * while the caller has long returned. */
    unsigned char *part, *parts; /* (part_capacity), (workers, part_capacity) */
    size_t part_capacity;
    weft_transport_report *reports; /* (2, workers) of the last interrogation, and of the one before */
    double doubted, asks_again;     /* since when nothing moved as all were seen to wait; when they are asked again */
    double attended;                /* when the transport was driven last while this worker worked */
    weft_clerk *clerk;              /* for work that takes its time; NULL: others hear this worker without its help */

    const weft_train_options *options; /* the run's; NULL: sampling */
    bool told_stop;                    /* that it was asked to stop while it waited */

    weft_stage **train_stages, **forward_stages; /* (S) NULL where not on this rank */
    weft_executor *train, *forward;
    int64_t step; /* the one that runs, from 1 */
    /* Diagnosis of a non-finite gradient: after which micro-batch each stage's gradients first were; see run.c. */
    bool diagnose;
    int32_t bad_stage, bad_microbatch; /* -1: none */
    char bad_parameter[64];
} weft_worker;

/* number: of all workers. sampling: no gradients, moments or train program; logits are allocated. */
weft_status weft_worker_create(const weft_job *job, int32_t number, weft_transport *transport, bool sampling,
                               weft_worker **out, weft_error *error) WEFT_CHECKED;
void weft_worker_destroy(weft_worker *worker);

/* Initial weights by seed, moments zero; or from a checkpoint. */
weft_status weft_worker_init_weights(weft_worker *worker, weft_error *error) WEFT_CHECKED;
weft_status weft_worker_load(weft_worker *worker, const weft_checkpoint *checkpoint, weft_error *error) WEFT_CHECKED;

/* The elements of a parameter that this worker writes to checkpoints: every element is written by one worker. */
weft_share weft_worker_saves(const weft_worker *worker, int32_t parameter);

/* This worker's share of a parameter (weft_share_of): the first element of each. NULL where it has none. */
typedef struct weft_own {
    float *weight, *moment1, *moment2, *gradient;
    void *storage;
} weft_own;
weft_own weft_worker_own(const weft_worker *worker, int32_t parameter);

/* Lets kernels of a stage read gathered weights from a page, or add gradients on one. */
void weft_worker_use_weight_page(weft_worker *worker, int32_t stage, int32_t page);
void weft_worker_use_gradient_page(weft_worker *worker, int32_t stage, int32_t page);
/* Nobody reads a stage's weights, or a unit's gradients, on that page any more. */
void weft_worker_free_weight_page(const weft_worker *worker, int32_t stage, int32_t page);
void weft_worker_free_gradient_page(const weft_worker *worker, int32_t unit, int32_t page);
/* The whole gradients of a unit; without pages its own. */
float *weft_worker_gradient_on(const weft_worker *worker, int32_t unit, int32_t page);

/* The worker of another pipeline rank in the same pipeline. */
int32_t weft_worker_at(const weft_worker *worker, int32_t rank);

/* Runs the train or the forward program once over the batch in tokens and targets. */
weft_status weft_worker_run(weft_worker *worker, bool forward, weft_error *error) WEFT_CHECKED;

/* From now on, between operations of the device that belong to no program, the worker answers others. */
void weft_worker_attend(weft_worker *worker);

/* Waits for a request of the run itself (between programs), with the run's timeout. what: for the message. */
weft_status weft_worker_await(weft_worker *worker, weft_request request, const char *what,
                              weft_error *error) WEFT_CHECKED;

/* The other holder of the shared weight, for one of its two holders. */
int32_t weft_worker_tied_peer(const weft_worker *worker);

/* Gathers equal-sized parts of all ranks between programs. The parts may lie anywhere and be gone after an error. */
weft_status weft_worker_gather(weft_worker *worker, const void *part, size_t bytes, void *all, const char *what,
                               weft_error *error) WEFT_CHECKED;

#endif
