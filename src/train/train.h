/*
 * A training run: workers as threads of this process or this process as one of them, the step
 * loop, evaluation, checkpoints.
 *
 * Nothing is printed: what happens is told to an observer of rank 0.
 */
#ifndef WEFT_TRAIN_TRAIN_H
#define WEFT_TRAIN_TRAIN_H

#include "data/tokenize.h"
#include "convert/weights.h"
#include "train/job.h"
#include "train/record.h"

#include <signal.h>

typedef struct weft_run_start {
    int64_t resumed_step;     /* 0: a new run */
    const char *resumed_path; /* or NULL */
    double peak;              /* flop/s of all workers; 0 when not measured */
    int64_t train_blocks, held_out_blocks;
} weft_run_start;

/* What the parts of a step took when they ran alone, before the first step. */
typedef struct weft_calibration {
    weft_costs costs; /* seconds; of the job's train program */
    double between;   /* seconds of a step outside its program: reading the batch, telling each other how it went */
} weft_calibration;

/* Every member may be NULL. A member that fails (a full disk, say) ends the run, after a checkpoint of what is done.
 * Told by rank 0, one call after the other, from whatever thread; but note, when a run is asked to stop while it waits,
 * by every process, and tokenised by any: give those of other ranks an observer with these only. */
typedef struct weft_observer {
    void *context;
    weft_status (*started)(void *context, const weft_run_start *start, weft_error *error);
    weft_status (*calibrated)(void *context, const weft_calibration *calibration, weft_error *error);
    weft_status (*step)(void *context, const weft_step_record *record, weft_error *error);
    weft_status (*evaluated)(void *context, const weft_evaluation_record *record, weft_error *error);
    /* Of a run that was resumed: whether that step, the last one done, was never told as evaluated. It was, where this
     * is NULL; else the evaluation is made up for. */
    bool (*lacks_evaluation)(void *context, int64_t step);
    weft_status (*saved)(void *context, int64_t step, weft_error *error);
    weft_status (*timeline)(void *context, const weft_timeline_record *record, weft_error *error);
    void (*note)(void *context, const char *line);
    /* Before the run starts, while its text is tokenised, by whichever process does it. */
    void (*tokenised)(void *context, const weft_tokenize_totals *totals);
} weft_observer;

typedef struct weft_train_options {
    bool resume;                       /* go on from the latest checkpoint of run.folder, or start when there is none */
    const volatile sig_atomic_t *stop; /* non-zero: finish the step, write a checkpoint, return WEFT_OK; may be NULL */
    double peak_seconds;      /* for how long the device's best matrix product is measured at the start; 0: not */
    bool calibrate_together;  /* of that only what several workers do together */
    double calibrate_seconds; /* for how long the parts of a step are timed alone, before the first; 0: not */
    /* Above 0 the run is a trial of so many steps from the start, for what they take: run.folder is neither read nor
     * written, nothing is saved or evaluated. 0: the whole run. */
    int64_t trial_steps;
    double trial_seconds; /* a trial ends when its steps have taken so long, but not before some; 0: it does not */
    /* For tests: every message and gather is held back for a random time of up to so many seconds, a function of the
     * seed (weft_delay_transport_create); 0: none. It may change nothing but time. */
    double delay_longest;
    uint64_t delay_seed;
    void (*late)(void *context); /* see weft_crew; may be NULL */
    /* Of an evaluation that shows logits: a safetensors file for F32 "logits" (sequences, T, V) and I32 "tokens"
     * (sequences, T). Workers write their own parts of it: all must see it under this name. */
    const char *logits;
    bool *stopped; /* set to whether a wish to stop, of any rank, ended the run; may be NULL */
    weft_observer observer;
} weft_train_options;

/* Writes into a configuration what checkpoints are to keep of its tokenizer: the fingerprint. WEFT_INVALID by key when
 * there is no such tokenizer, or it does not fit the model. */
weft_status weft_train_settle(weft_config *config, weft_error *error) WEFT_CHECKED;

/* Whether there is what training reads: WEFT_INVALID for data that cannot be opened. Adds to notes what a user may not
 * have meant of them, a line each. Nothing is kept open. */
weft_status weft_train_check(const weft_config *config, weft_text *notes, weft_error *error) WEFT_CHECKED;

/* Where workers are processes the caller has started theirs (transport/kinds.h). */
weft_status weft_train(const weft_job *job, const weft_train_options *options, weft_error *error) WEFT_CHECKED;

/* The loss of weights on held-out data, which the observer is told: nothing else of their run is read or written. The
 * job evaluates or shows logits; its model is theirs. At any layout of one data set, micro-batches of as many
 * sequences, element, device and tensor-parallel width it has the same bits. WEFT_INVALID when nothing is held out. */
weft_status weft_evaluate(const weft_job *job, const weft_weights *weights, const weft_train_options *options,
                          weft_error *error) WEFT_CHECKED;

/* Generated text. prompt: text for runs with a tokenizer, where names of special tokens are these tokens, and for
 * models of bytes (vocabulary up to 256), else token numbers separated by blanks. */
typedef struct weft_sample_options {
    const char *prompt;
    int64_t tokens;     /* to generate */
    double temperature; /* 0: the most probable token */
    int64_t top_k;      /* 0: all */
    double top_p;       /* the most probable tokens that together have so much of the probability; 0 or 1: all */
    uint64_t seed;
    const char *stop; /* ends the generation, without being told; in the prompt's form; NULL: nothing does */
    bool uncached;    /* every token computes its whole window: as slow as it is simple, for comparison */
    void (*note)(const char *line); /* what the user should know; may be NULL */
    /* Told each new token; a non-zero return ends the generation. bytes: the token is a byte of text. */
    int (*token)(void *context, int32_t token, bool bytes);
    /* In place of token, where the run has a tokenizer: text as it becomes known, whole characters. */
    int (*text)(void *context, const char *bytes, size_t count);
    void *context;
} weft_sample_options;

/* WEFT_INVALID with the reason when a model of this configuration cannot go on from the prompt. */
weft_status weft_sample_check(const weft_config *config, const char *prompt, weft_error *error) WEFT_CHECKED;

/* What the sample of a run goes on from: run.sample_prompt, or where that is empty and text goes in, a line end. */
const char *weft_sample_prompt(const weft_config *config);

/* path: a checkpoint, a run folder or a folder of Hugging Face. Runs the forward program of a one-worker pipeline.
 * device: a kind, or NULL for the one the run was configured with. */
weft_status weft_sample(const char *path, const char *device, const weft_sample_options *options,
                        weft_error *error) WEFT_CHECKED;

#endif
