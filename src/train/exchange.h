/*
 * What tensor-parallel workers pass to each other in the middle of a pass (weft_stage_exchange of the model), over the
 * transport. The pass waits for it, and meanwhile the worker's other lanes move on. Internal to train/.
 *
 * An error is left in the device: later operations and exchanges do nothing, and the end of the action finds it.
 *
 * Threads: the worker's.
 */
#ifndef WEFT_TRAIN_EXCHANGE_H
#define WEFT_TRAIN_EXCHANGE_H

#include "train/worker.h"

/* Lives in the worker's arena. reducer: of WEFT_WORLD_TENSOR_REDUCE and the storage element; borrowed. */
weft_status weft_exchange_create(weft_worker *worker, struct weft_reducer *reducer, weft_exchange **out,
                                 weft_error *error) WEFT_CHECKED;

/* For stages; NULL for NULL. */
const weft_stage_exchange *weft_exchange_functions(const weft_exchange *exchange);

/* What goes on while a pass waits. */
typedef struct weft_exchange_host {
    void *context;
    /* Moves the other lanes as far as they go; NULL: there are none. */
    weft_status (*drive)(void *context, bool *moved, weft_error *error);
    /* Told when nothing moves: what: "a sum of parts with rank 3". Puts the action before it, for messages. */
    const char *(*waits)(void *context, const char *what);
    void (*runs)(void *context); /* the pass that was said to wait goes on */
} weft_exchange_host;

/* Before any pass. Accepts NULL. */
void weft_exchange_attach(weft_exchange *exchange, weft_exchange_host host);

#endif
