/*
 * Hands: threads that do numbered pieces of work side by side, and are gone when all of it is done. The one that asks
 * is a hand itself.
 *
 * Pieces are begun in ascending order, and none is begun once one has failed. So what is told is always the error of
 * the first piece that fails, whatever the threads did in what order. Hands take no signals.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_BASE_HANDS_H
#define WEFT_BASE_HANDS_H

#include "base/status.h"

#include <pthread.h>
#include <stddef.h>

/* A thread that takes no signals: it begins with the mask of the one that makes it. Returns 0 or an errno, as
 * pthread_create does; whoever asks joins it. */
int weft_thread_start(pthread_t *out, void *(*run)(void *argument), void *argument);

/* Cores of this machine that are online, at least one: the machine's, be this process bound to some of them (by a
 * launcher, which gives each its own) or not. */
int weft_cores(void);

/* Does piece `index`. Pieces of one hand come one after the other; hands are counted from 0, which is the one that
 * asks. */
typedef weft_status (*weft_hands_work)(void *context, size_t hand, size_t index, weft_error *error);

/* Pieces 0 .. count - 1, by so many hands at most: at least one, no more than pieces, and as many as threads start. */
weft_status weft_hands_run(size_t hands, size_t count, weft_hands_work work, void *context,
                           weft_error *error) WEFT_CHECKED;

#endif
