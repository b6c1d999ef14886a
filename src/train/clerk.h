/*
 * A clerk: a thread that does what may take any time and needs no other worker (files, above all), one piece of work
 * after the other, while the worker's own thread stays reachable for the others. Internal to train/.
 *
 * Owns: its thread.  Lifetime: create to destroy, which waits for the work.  Threads: the worker's calls; the work runs
 * in the clerk's.
 */
#ifndef WEFT_TRAIN_CLERK_H
#define WEFT_TRAIN_CLERK_H

#include "base/memory.h"

typedef struct weft_clerk weft_clerk;

typedef weft_status (*weft_clerk_work)(void *context, weft_error *error);

weft_status weft_clerk_create(weft_clerk **out, weft_error *error) WEFT_CHECKED;
void weft_clerk_destroy(weft_clerk *clerk); /* accepts NULL */

/* Gives it work, which fills the error; context and error are its own until wait has told that it is done. */
void weft_clerk_begin(weft_clerk *clerk, weft_clerk_work work, void *context, weft_error *error);
/* Waits for so many seconds at most. Whether the work is done, and *out_status what it returned. */
bool weft_clerk_wait(weft_clerk *clerk, double seconds, weft_status *out_status);

#endif
