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
#include "train/train.h"
#include "transport/transport.h"

enum { WEFT_GROUP_ALL = 0, WEFT_TAG_TIED = 20000, WEFT_TAG_TIMES };

typedef struct weft_executor weft_executor;

typedef struct weft_worker {
    const weft_job *job;
    int32_t rank;
    weft_device *device;
    weft_transport *transport;
    weft_arena arena;      /* host side tables */
    unsigned char *memory; /* one device allocation; everything below points into it */

    /* (parameters) NULL where this worker does not hold the parameter */
    float **weight, **gradient, **moment1, **moment2;
    void **storage; /* what kernels read: weight itself for fp32 */

    unsigned char *slots;                       /* the slot arena of the programs */
    void *scratch, *exchange;                   /* kernel workspace; one piece of the other side's shared gradient */
    int32_t *tokens, *targets;                  /* (M, B, T) of the current batch */
    float *losses;                              /* (M) written by the last stage */
    double *own_sums, *all_sums, *ordered_sums; /* norm blocks: own, as gathered by rank, in global order */
    weft_step_scalars *scalars;
    float *batch_losses; /* (M) on the host, after METRICS */
    void *logits;        /* sampling: (B, V) storage, else NULL */
    int64_t logits_position;
    size_t *sum_bytes, *loss_bytes; /* (P) what each rank gives in NORM and METRICS */
    size_t *equal_bytes;            /* (P) what each rank gives in a gather between programs */
    /* What such a gather sends and receives. The worker's own: after an error another rank may still copy from or to it
     * while the caller has long returned. */
    unsigned char *part, *parts; /* (part_capacity), (P, part_capacity) */
    size_t part_capacity;
    weft_transport_report *reports; /* (P) of the last interrogation */

    const weft_train_options *options; /* the run's; NULL: sampling */
    bool told_stop;                    /* that it was asked to stop while it waited */

    weft_stage **train_stages, **forward_stages; /* (S) NULL where not on this rank */
    weft_executor *train, *forward;
    int64_t step; /* the one that runs, from 1 */
    float scale;  /* of the loss gradient */
    /* Diagnosis of a non-finite gradient: after which micro-batch each stage's gradients first were; see run.c. */
    bool diagnose;
    int32_t bad_stage, bad_microbatch; /* -1: none */
    char bad_parameter[64];
} weft_worker;

/* sampling: no gradients, moments or train program; logits are allocated. */
weft_status weft_worker_create(const weft_job *job, int32_t rank, weft_transport *transport, bool sampling,
                               weft_worker **out, weft_error *error) WEFT_CHECKED;
void weft_worker_destroy(weft_worker *worker);

/* Initial weights by seed, moments zero; or from a checkpoint. */
weft_status weft_worker_init_weights(weft_worker *worker, weft_error *error) WEFT_CHECKED;
weft_status weft_worker_load(weft_worker *worker, const weft_checkpoint *checkpoint, weft_error *error) WEFT_CHECKED;

/* Whether this worker writes the parameter to checkpoints (holds it, and is not the second holder of a tied weight). */
bool weft_worker_saves(const weft_worker *worker, int32_t parameter);

/* Runs the train or the forward program once over the batch in tokens and targets. */
weft_status weft_worker_run(weft_worker *worker, bool forward, weft_error *error) WEFT_CHECKED;

/* Waits for a request of the run itself (between programs), with the run's timeout. what: for the message. */
weft_status weft_worker_await(weft_worker *worker, weft_request request, const char *what,
                              weft_error *error) WEFT_CHECKED;

/* The other holder of the shared weight, for one of its two holders. */
int32_t weft_worker_tied_peer(const weft_worker *worker);

/* Gathers equal-sized parts of all ranks between programs. The parts may lie anywhere and be gone after an error. */
weft_status weft_worker_gather(weft_worker *worker, const void *part, size_t bytes, void *all, const char *what,
                               weft_error *error) WEFT_CHECKED;

#endif
