/*
 * An endpoint that lies over another one: its data half is its own, the inner endpoint stays the control channel. Here
 * is that channel, for the wrapper's table: each function asks the inner endpoint.
 *
 * Owns: the wrapper owns the inner endpoint.  Threads: the endpoint's.
 */
#ifndef WEFT_TRANSPORT_OVER_H
#define WEFT_TRANSPORT_OVER_H

#include "transport/transport.h"

/* First member of every endpoint over another. */
typedef struct weft_transport_over {
    weft_transport base;
    weft_transport *inner;
} weft_transport_over;

/* The base, and the control half of operations: what the wrapper does itself it sets afterwards. */
void weft_transport_over_init(weft_transport_over *over, weft_transport *inner, weft_transport_operations *operations);

#endif
