/*
 * Inside the staged transport: an endpoint that carries device memory over one that knows the host's only, which stays
 * the control channel and takes transfers of host memory (stream NULL) as they are.
 *
 * A transfer of device memory goes in pieces through pinned memory, one after the other on its lane (a peer, a tag and
 * a way; or a group): a copy out on the stream, the inner transport, a copy in on the stream, each where it has one.
 * Every lane has two places of its own: none waits for room that a message of another lane holds, so that what cannot
 * stand still over the inner transport cannot here.
 *
 * Owns: the inner endpoint, pinned memory and events.  Threads: the endpoint's.
 */
#ifndef WEFT_TRANSPORT_STAGED_H
#define WEFT_TRANSPORT_STAGED_H

#include "device/device.h"
#include "transport/common.h"
#include "transport/over.h"

typedef enum weft_staged_kind { WEFT_STAGED_SEND, WEFT_STAGED_RECEIVE, WEFT_STAGED_GATHER } weft_staged_kind;

typedef enum weft_staged_state {
    WEFT_STAGED_FREE,
    WEFT_STAGED_LEAVES,  /* is copied out of the device */
    WEFT_STAGED_TRAVELS, /* the inner transport has it */
    WEFT_STAGED_ENTERS,  /* is copied into the device; its request is done */
} weft_staged_state;

typedef struct weft_staged_place {
    char *bytes; /* pinned, (room) */
    weft_event event;
    weft_staged_state state;
    int32_t request; /* of which it holds piece `index` */
    size_t index;
    weft_request inner;
    size_t *counts; /* (members) of the piece, where it is a gather's */
    weft_stream *stream;
} weft_staged_place;

enum { WEFT_STAGED_PLACES = 2 };

typedef struct weft_staged_lane {
    weft_staged_kind kind;
    int32_t peer, tag; /* of a gather: -1 and the group */
    int32_t members;   /* of the group; else 1 */
    weft_staged_place places[WEFT_STAGED_PLACES];
    uint64_t begun, ended; /* pieces: those between are in places, by their number modulo PLACES */
    int32_t first, last;   /* requests with pieces that were not begun, -1: none */
} weft_staged_lane;

typedef struct weft_staged_request {
    bool busy, host; /* host: the inner transport's own, under `inner` */
    weft_request inner;
    weft_staged_lane *lane;
    weft_stream *stream;
    const char *from;
    char *to;
    size_t count;         /* of a message */
    const size_t *counts; /* of a gather, the caller's */
    size_t begun, pieces; /* of its pieces */
    int32_t open;         /* pieces that have not arrived */
    int32_t next;         /* on its lane, or of the spare ones */
} weft_staged_request;

typedef struct weft_staged {
    weft_transport_over over;
    weft_transport_operations operations;
    weft_device *device; /* NULL: none is attached */
    int32_t group_count, lane_count, lane_limit;
    int32_t *group_sizes, *group_places; /* (groups) members; which of them this worker is, -1: none */
    size_t room;                         /* bytes of a place */
    char *pinned;
    weft_event *events; /* (lane_limit x PLACES) */
    weft_staged_lane *lanes;
    size_t *counts; /* (lane_limit x PLACES x largest group) */
    size_t largest; /* members of the largest group */
    weft_staged_request *requests;
    size_t request_capacity, request_count;
    int32_t spare;
    bool moved; /* a request was done since the last wait */
    double nap; /* seconds of the next sleep while copies are under way */
} weft_staged;

/* lane.c */
/* The lane, a new one where it is new. WEFT_INVALID when there are more than were made room for. */
weft_status weft_staged_find_lane(weft_staged *s, weft_staged_kind kind, int32_t peer, int32_t tag,
                                  weft_staged_lane **out, weft_error *error) WEFT_CHECKED;
/* Pieces of the request; WEFT_INVALID for one that is too long for the places. */
weft_status weft_staged_count_pieces(const weft_staged *s, weft_staged_request *request,
                                     weft_error *error) WEFT_CHECKED;
/* Moves what can be moved now, on all lanes. */
weft_status weft_staged_drive(weft_staged *s, weft_error *error) WEFT_CHECKED;
/* Seconds until a copy that is under way may have ended: HUGE_VAL where none is. */
double weft_staged_pause(weft_staged *s);
/* The host waits for all copies. */
void weft_staged_finish_copies(weft_staged *s);

#endif
