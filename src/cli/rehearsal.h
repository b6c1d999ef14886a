/*
 * What weft rehearse keeps of a rehearsal, and how it is shown.
 *
 * Owns: times and timelines, until weft_cli_rehearsal_fini; the job is borrowed.  Threads: init, fini and the
 * writers main's; the step callback that of rank 0, in between.
 */
#ifndef WEFT_CLI_REHEARSAL_H
#define WEFT_CLI_REHEARSAL_H

#include "train/rehearse.h"

/* A step: its times in the unit, and the shares of it in which ranks were idle, means over the ranks. */
typedef struct weft_cli_step {
    double time, idle, cause[WEFT_BUBBLE_CAUSES];
    double own_time, own_idle; /* of a rank from its first pass to its last (weft_bubble) */
    weft_hidden gathers, reductions;
    int64_t number;         /* from 1; 0: simulated */
    weft_timeline timeline; /* in seconds; empty where it can no longer be the step in the middle */
} weft_cli_step;

typedef struct weft_cli_rehearsal {
    const weft_job *job;
    const char *unit;    /* s, ms or us */
    double unit_seconds; /* of one */
    int64_t asked;       /* steps */
    weft_cli_step simulated;
    weft_cli_step *steps;   /* (count) in the order in which they were run */
    size_t count, capacity; /* done; room */
    bool tells;             /* progress, on standard error */
} weft_cli_rehearsal;

weft_status weft_cli_rehearsal_init(weft_cli_rehearsal *it, const weft_job *job, weft_error *error) WEFT_CHECKED;
void weft_cli_rehearsal_fini(weft_cli_rehearsal *it);

/* A weft_rehearsal's step; context: the weft_cli_rehearsal. */
weft_status weft_cli_rehearsal_step(void *context, int64_t step, const weft_timeline *measured, weft_error *error);

/* Of the steps done, at least one: that whose time is in the middle, the shorter of two. It has its timeline. */
const weft_cli_step *weft_cli_rehearsal_middle(const weft_cli_rehearsal *it);

/* The step in the middle beside the simulated one. */
void weft_cli_rehearsal_text(const weft_cli_rehearsal *it, weft_text *out);
void weft_cli_rehearsal_json(const weft_cli_rehearsal *it, weft_text *out);

#endif
