/*
 * Sums over the members of a group: reduce-scatter and all-reduce of fp32 or storage elements, over any transport.
 *
 * Every member receives the others' values of its own part and adds them in member order, ((m0 + m1) + m2) + ..., in
 * fp32, rounded once at the end, so that the bits depend on the values and the group's width only; not on timing,
 * transport, split or chunk. The all-reduce is that, then a gather. A reducer runs the sums of one group, one at a
 * time, which all members start in one order; those of different groups are independent and may be under way together.
 * Nothing else uses its group (transport.h).
 *
 * Nothing here waits. poll looks what has arrived, adds one chunk at most and posts what comes next; messages in
 * between are the transport's. Where workers share memory of the host a member reads the others' values in place; else
 * they come in messages of one chunk, two ahead of the addition, into the workspace.
 *
 * Additions are given to a stream, behind the values that its transfers bring. What they read is released, overwritten
 * or sent on only when the event behind them is reached; a sum that is done is done on the stream: what is given to it
 * then comes after it. Over an ordered transport (transport.h) a sum is given to the stream whole, by the call that
 * begins it, and is done at once; members do not tell each other what they are about to add, and one that disagrees is
 * the transport's to find.
 *
 * Owns: its tables; borrows transport, device and workspace.  Lifetime: after an error, a stop too, a reducer can only
 * be destroyed, and only after its transport: it, the workspace and the values of all sums begun are the transport's
 * till then.  Threads: the transport's.
 */
#ifndef WEFT_TRANSPORT_REDUCE_H
#define WEFT_TRANSPORT_REDUCE_H

#include "device/device.h"
#include "transport/transport.h"

typedef struct weft_reducer weft_reducer;

typedef struct weft_reducer_options {
    weft_transport *transport;
    weft_device *device;  /* adds; all values are in its memory */
    weft_stream *stream;  /* of additions and transfers; NULL where the host reaches that memory */
    int32_t group;        /* as the transport was created with */
    weft_group members;   /* kept by copy */
    weft_element element; /* of the values: fp32 or the device's; the same on all members */
    size_t chunk;         /* elements, >= 1, the same on all members: weft_device_kind.sum_chunk is a good size */
    void *workspace;      /* weft_reducer_workspace bytes, used only while a sum is under way; NULL where that is 0 */
} weft_reducer_options;

/* Bytes for a group of so many members: 2 (members - 1) chunks of elements; where workers share memory none is used. */
size_t weft_reducer_workspace(int32_t members, size_t chunk, weft_element element);

/* WEFT_INVALID: this worker is no member, there is no chunk or no workspace, or the device has no such elements. */
weft_status weft_reducer_create(const weft_reducer_options *options, weft_reducer **out,
                                weft_error *error) WEFT_CHECKED;
void weft_reducer_destroy(weft_reducer *reducer); /* accepts NULL */

/* Begins out = sum of the members' own parts of values. values: every member's part after one another, in member order;
 * counts: (members) elements of each part, may be 0, the same on all members, read before it returns. out: elements of
 * the own part; it may be the own part of values. Both stay the reducer's until the sum is done. */
weft_status weft_reducer_scatter(weft_reducer *reducer, const void *values, const size_t *counts, void *out,
                                 weft_error *error) WEFT_CHECKED;

/* Begins values = sum of the members' values, on every member. values: (count), the reducer's until the sum is done. */
weft_status weft_reducer_all(weft_reducer *reducer, void *values, size_t count, weft_error *error) WEFT_CHECKED;

typedef enum weft_reducer_state {
    WEFT_REDUCER_WAITS, /* for other members: sleep in the transport's wait if there is nothing else to do */
    WEFT_REDUCER_MOVED, /* there may be more to do at once: do not sleep */
    WEFT_REDUCER_DONE,  /* nothing is under way */
} weft_reducer_state;

/* Does what can be done now, one chunk of additions at most. WEFT_FAILED when the members disagree about the sum. */
weft_status weft_reducer_poll(weft_reducer *reducer, weft_reducer_state *out, weft_error *error) WEFT_CHECKED;

/* The event of additions that have to end before the sum goes on, so that a caller with nothing else to do knows when
 * to look again; NULL: it waits for messages. On a CPU device there is none. */
const weft_event *weft_reducer_adding(const weft_reducer *reducer);

/* A member that the sum under way waits for, for messages about stalls: its rank, or -1 where that is not known. */
int32_t weft_reducer_awaited(const weft_reducer *reducer);

#endif
