/*
 * A schedule with communication as torch.distributed.pipelining runs it: each row is one list, executed in order. SEND
 * and RECV are posted and hold nothing up; a pass that reads a message begins when its SEND has been posted; a wait
 * ends when the RECV that meets its SEND has been posted. Lowering does without this: its messages have lanes of their
 * own.
 *
 * Internal to this layer.  Owns: nothing but a circle's words.  Threads: any; nothing is kept.
 */
#ifndef WEFT_SCHEDULE_ROWS_H
#define WEFT_SCHEDULE_ROWS_H

#include "schedule/schedule.h"

#define WEFT_NOWHERE SIZE_MAX

/* Ranks that wait for each other for ever. Init to zero; the words are the caller's to weft_text_fini. */
typedef struct weft_circle {
    int32_t length;  /* ranks in it; 0: there is none */
    weft_text words; /* "rank 0 waits in 0WAIT_SEND_F0 because rank 1 has not come to 1RECV_F0, ...; rank 1 ..." */
    size_t wait;     /* the wait that the words begin with, an index of waits; WEFT_NOWHERE: they begin with a pass */
    size_t action;   /* that pass, an index of actions */
} weft_circle;

/* The shortest circle, in `out`. There is none where all rows end, and where one waits for an action that is in no row:
 * which one is missing is for the verification of the program to say. waits: in the order of their places. */
weft_status weft_rows_find_circle(const weft_schedule *schedule, const weft_wait *waits, size_t wait_count,
                                  weft_circle *out, weft_error *error) WEFT_CHECKED;

/* Puts waits for every SEND and REDUCE_GRAD into a schedule with messages that has none (waits.c). */
weft_status weft_waits_place(weft_schedule *schedule, weft_error *error) WEFT_CHECKED;

#endif
