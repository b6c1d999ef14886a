/*
 * A check of all tokens of a run's corpora: at once, or by a thread of its own while the run goes on.
 *
 * Owns: its thread and a buffer; corpora are the caller's and outlive it.  Lifetime: init to fini.  Threads: one starts
 * and ends it, any may poll.
 */
#ifndef WEFT_DATA_AUDIT_H
#define WEFT_DATA_AUDIT_H

#include "data/corpus.h"

#include <pthread.h>

typedef struct weft_audit {
    const weft_corpus *const *corpora; /* (count) */
    size_t count;
    int64_t vocabulary;
    uint64_t size; /* bytes to look at */
    unsigned char *buffer;
    pthread_t thread;
    bool running;
    atomic_bool stop, failed;     /* failed: error is written and stays */
    atomic_uint_fast64_t checked; /* bytes */
    weft_error error;
} weft_audit;

void weft_audit_init(weft_audit *audit, const weft_corpus *const *corpora, size_t count, int64_t vocabulary);
void weft_audit_fini(weft_audit *audit); /* soon, also in the middle of a check */

/* Looks at everything before it returns. */
weft_status weft_audit_run(weft_audit *audit, weft_error *error) WEFT_CHECKED;

/* Looks at everything in a thread that stands back for all others and takes no signals. That it cannot start is told by
 * poll. */
void weft_audit_start(weft_audit *audit);

/* WEFT_OK until something bad was found. */
weft_status weft_audit_poll(const weft_audit *audit, weft_error *error) WEFT_CHECKED;

uint64_t weft_audit_left(const weft_audit *audit); /* bytes that no check has looked at */

#endif
