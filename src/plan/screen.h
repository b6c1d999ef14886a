/*
 * Every way to train a model on a cluster, priced by closed forms: the fastest, the fastest of each schedule and shard,
 * the front of time and memory, and how many were refused for which reason.
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef WEFT_PLAN_SCREEN_H
#define WEFT_PLAN_SCREEN_H

#include "base/memory.h"
#include "plan/sizes.h"
#include "program/program.h"

#include <signal.h>

/* What the user has decided; 0 leaves it open. Sets are bits by enum, 0: all that the software has. */
typedef struct weft_plan_fix {
    int32_t data, tensor, pipeline, loops, context, micro_batch, rounds;
    uint32_t kinds, shards, recomputes;
    int8_t sequence_parallel; /* 0: open; 1: yes; -1: no */
    const int32_t *layers;    /* (stages) borrowed; of each stage, for replays of layouts of so many; NULL: open */
    int32_t stages;
} weft_plan_fix;

typedef struct weft_plan_question {
    const weft_plan_model *model;     /* borrowed */
    const weft_plan_cluster *cluster; /* borrowed */
    int64_t gpus;                     /* at most so many, those that idle included */
    int64_t batch;                    /* sequences of a step */
    weft_plan_fix fix;
    int32_t top;                  /* how many of the fastest to keep */
    const weft_plan_sizes *sizes; /* borrowed; NULL: memory by closed forms alone */
    double room; /* replays divide layers by what they cost where that takes no more bytes of a worker; 0: evenly */
} weft_plan_question;

typedef enum weft_plan_reason {
    WEFT_PLAN_REFUSED_HEADS,       /* tensor does not divide heads, or the feed-forward net */
    WEFT_PLAN_REFUSED_LAYERS,      /* more stages than layers, or not a whole number of layers a stage */
    WEFT_PLAN_REFUSED_BATCH,       /* no whole number of micro-batches, or too few for the schedule */
    WEFT_PLAN_REFUSED_MICRO_BATCH, /* one layer of one micro-batch alone does not fit; counts sizes of a micro-batch */
    WEFT_PLAN_REFUSED_WEIGHTS,     /* weights, gradients and optimizer alone do not fit */
    WEFT_PLAN_REFUSED_MEMORY,      /* activations besides do not fit */
    WEFT_PLAN_REFUSED_SLOWER,      /* fits, but is not among what is kept */
    WEFT_PLAN_REASONS
} weft_plan_reason;

const char *weft_plan_reason_text(weft_plan_reason reason);

typedef struct weft_plan_candidate {
    weft_plan_layout layout;
    double step, memory; /* seconds, 0 where it was not worked out; bytes of the worst rank */
} weft_plan_candidate;

typedef struct weft_plan_screened {
    weft_plan_candidate *best; /* (best_count) by time, then memory, then layout: the question's top, the front, and the
                                * fastest of each schedule and each shard */
    size_t best_count, capacity;
    weft_plan_candidate *misses; /* (miss_count) of each schedule what would fit a GPU with least more memory, the
                                  * nearest first */
    size_t miss_count;
    uint64_t enumerated, priced; /* layouts that were named, and whose time was worked out */
    uint64_t refused[WEFT_PLAN_REASONS];
} weft_plan_screened;

/* WEFT_INVALID for sizes out of range and for decisions that contradict each other, the model or the software. */
weft_status weft_plan_question_check(const weft_plan_question *question, weft_error *error) WEFT_CHECKED;

/* Errors as weft_plan_question_check; a question whose every layout is refused is answered with best_count 0.
 * Deterministic. stop: NULL, or a flag that ends it early with
 * what was found. */
weft_status weft_plan_screen(const weft_plan_question *question, const volatile sig_atomic_t *stop,
                             weft_plan_screened *out, weft_error *error) WEFT_CHECKED;
void weft_plan_screened_fini(weft_plan_screened *screened);

/* Whether a schedule goes with the pipeline, the loops and the micro-batches of a layout. */
bool weft_plan_kind_goes_with(const weft_plan_layout *layout, weft_plan_kind kind);

/* The order of plans: time, then memory, then the layout's numbers. */
int weft_plan_candidate_compare(const void *left, const void *right);

#endif
