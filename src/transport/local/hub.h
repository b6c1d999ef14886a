/*
 * Inside the local transport: the hub that all workers of the process share, and the requests matched on it.
 *
 * A message is a rendezvous: the side that arrives second takes the first one's request off the receiver's list (from
 * then on nobody else can find it), copies outside of every lock, and then marks both done, each under its owner's
 * lock. A borrow gets the address instead of a copy, and marks the send done when it is released. Lists of a box are
 * guarded by the box of the receiver, the state of a request by the box of its owner. No thread ever holds two locks.
 *
 * Of device memory the receiver gets the address, too, and its own thread gives the copy to its stream, behind the
 * event that the sender recorded; then the sender's thread has its stream wait for the event behind the copy. Nobody
 * waits for a device.
 *
 * Owns: the hub owns boxes, lists and copies of the groups; an endpoint owns its requests and their events.  Threads:
 * as marked.
 */
#ifndef WEFT_TRANSPORT_LOCAL_HUB_H
#define WEFT_TRANSPORT_LOCAL_HUB_H

#include "device/device.h"
#include "transport/common.h"

#include <pthread.h>

typedef enum weft_local_state {
    WEFT_LOCAL_FREE = 0,
    WEFT_LOCAL_PENDING,
    WEFT_LOCAL_DONE,
    WEFT_LOCAL_MISMATCH, /* done, but the sender's count was another */
    WEFT_LOCAL_HELD,     /* a borrow that was found done and is not released */
    WEFT_LOCAL_WATCHED,  /* a copy on a device whose event the sender's stream has to wait for yet */
} weft_local_state;

typedef struct weft_local_request {
    /* Written by the owner before posting. */
    int32_t index, owner, peer, tag;
    bool sends, borrows; /* borrows: it gets the address of the bytes, which the owner copies or hands out */
    weft_device *device; /* of the owner; and the stream, where the bytes are in its memory, else NULL */
    weft_stream *stream;
    weft_event event; /* of a send: its bytes are ready; else: they are copied. Stays with the request */
    const void *source;
    void *target;
    const void **where; /* of the caller's borrow: gets source from the test */
    size_t count;
    struct weft_local_request *parent; /* the gather that this is a part of */
    /* Of a borrow, written by whoever matches it: the send that is not done before the release. */
    struct weft_local_request *lender;
    struct weft_local_request *copy; /* of a send: what its bytes were copied for, on a device */
    /* Guarded by the receiver's box. */
    bool linked;
    /* In the receiver's list; while free or ready, in the owner's, guarded by the owner's box. */
    struct weft_local_request *next;
    /* Guarded by the owner's box. */
    weft_local_state state;
    int64_t finished;                 /* weft_clock_nanoseconds when it was done */
    int32_t remaining;                /* parts of a gather under way */
    struct weft_local_request *ready; /* parts of a gather that the owner may copy or was told of, by next */
    int32_t odd_peer;                 /* on a mismatch: who sent, what was expected, what came */
    size_t odd_expected, odd_count;
} weft_local_request;

typedef struct weft_local_list {
    weft_local_request *head, *tail;
} weft_local_list;

typedef struct weft_local_box {
    pthread_mutex_t mutex;
    pthread_cond_t moved;      /* signalled when events, stopped_by or a request's state changed */
    weft_local_list *from;     /* (size): unmatched requests by sender, oldest first */
    weft_local_request *spare; /* the owner's free requests */
    size_t spare_count;
    uint64_t events;    /* requests of the owner that were done */
    int32_t stopped_by; /* a rank, the hub's size for the hub itself, or -1 */
    bool present;       /* an endpoint exists */
    char text[WEFT_TRANSPORT_REPORT];
} weft_local_box;

struct weft_local_hub {
    int32_t size, group_count;
    weft_group *groups;
    int32_t *members;       /* of all groups, one after the other */
    weft_local_box *boxes;  /* (size) */
    weft_local_list *lists; /* (size x size): what the boxes' from point to */
    /* The barrier, guarded by mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool *arrived; /* (size) */
    int32_t arrived_count, stopped_by;
    uint64_t generation;
};

typedef struct weft_local {
    weft_transport base;
    weft_local_hub *hub;
    weft_device *device;        /* NULL: none is attached that copies between workers */
    weft_local_request **table; /* every request; blocks of WEFT_LOCAL_BLOCK begin at multiples of it */
    size_t capacity, count;
    uint64_t seen; /* events that a wait has returned for */
} weft_local;

enum { WEFT_LOCAL_BLOCK = 64 };

/* hub.c */
weft_local_box *weft_local_box_get(const weft_local *local);
/* Sleeps on a condition until deadline (seconds of weft_clock_seconds); false when it has passed. */
bool weft_local_sleep(pthread_cond_t *condition, pthread_mutex_t *mutex, double deadline);
weft_status weft_local_barrier(weft_transport *transport, double timeout, weft_error *error) WEFT_CHECKED;
void weft_local_stop(weft_transport *transport);
/* WEFT_STOPPED once another worker has called stop. */
weft_status weft_local_check_stop(const weft_local *local, weft_error *error) WEFT_CHECKED;

/* request.c */
/* Makes sure that need requests can be taken without allocating. */
weft_status weft_local_reserve(weft_local *local, size_t need, weft_error *error) WEFT_CHECKED;
weft_local_request *weft_local_take(weft_local *local); /* pending, everything else empty; after reserve */
/* Matches the request with the other side's, or leaves it for the other side to find. */
void weft_local_post(weft_local *local, weft_local_request *mine);
/* Marks a request done (state DONE or MISMATCH) and wakes its owner; the caller must not touch it afterwards. */
void weft_local_complete(weft_local_hub *hub, weft_local_request *request, weft_local_state state);
/* Goes on with what is ready of a gather: each worker copies its own parts, so that all copy at the same time. */
void weft_local_copy_ready(weft_local *local, weft_local_request *whole);
/* Marks the lender of a receive done; on a device gives the receive's stream the copy before. Until the sender has seen
 * that, the receive is WATCHED: its state is set before. */
void weft_local_serve(weft_local *local, weft_local_request *receive, weft_local_request *lender);
/* Orders the send's stream behind its copy, whose request is free then. */
void weft_local_follow(weft_local *local, const weft_local_request *send);
/* Back to the spare ones. Called with the owner's box held. */
void weft_local_spare(weft_local_box *box, weft_local_request *request);
/* Takes back everything pending and frees the table; waits for copies that others make and for what they have borrowed.
 */
void weft_local_withdraw(weft_local *local);

/* peer.c: device memory. Called by the owner's thread. */
weft_status weft_local_attach(weft_transport *transport, struct weft_device *device, weft_error *error) WEFT_CHECKED;
/* Where there is a device: those of the requests from `first` on; and of all, made or not. */
weft_status weft_local_make_events(const weft_local *local, size_t first, weft_error *error) WEFT_CHECKED;
void weft_local_destroy_events(const weft_local *local);
/* The stream that a transfer is ordered on: NULL for host memory. */
weft_stream *weft_local_stream(const weft_local *local, weft_stream *stream);
/* Before a send is posted: its bytes are ready when its stream has come here. */
void weft_local_mark_ready(weft_local_request *send);
/* Puts the copy on the receive's stream, and makes it the lender's. */
void weft_local_copy_peer(weft_local_request *receive, weft_local_request *lender);
/* Has the send's stream wait for its copy. */
void weft_local_follow_copy(const weft_local_request *send);
/* Within the own memory, between calls that drive the endpoint. */
void weft_local_copy_own(const weft_local *local, weft_stream *stream, void *to, const void *from, size_t bytes);

#endif
