/*
 * Inside the sums: a reducer, and what both ways of running one need. Each piece of the own part comes from every other
 * member, is added, and frees what it was read from.
 *
 * Threads: the transport's.
 */
#ifndef WEFT_TRANSPORT_REDUCE_PARTS_H
#define WEFT_TRANSPORT_REDUCE_PARTS_H

#include "transport/reduce.h"

enum {
    WEFT_REDUCER_AHEAD = 2, /* pieces of a member's values under way: one is added while the next arrives */
};

/* What two members tell each other before a sum; a difference would else be a wrong sum, or a message that never comes.
 */
typedef struct weft_reducer_greeting {
    uint64_t element, all, chunk, mine, yours; /* all: 1 for an all-reduce; elements in the parts of sender, receiver */
} weft_reducer_greeting;

typedef struct weft_reducer_member {
    size_t offset, count; /* its part of the values, in elements */
    size_t sent;          /* pieces of that part that were posted to it */
    weft_reducer_greeting told, heard;
    weft_request tells, hears, sends[WEFT_REDUCER_AHEAD], receives[WEFT_REDUCER_AHEAD]; /* -1: not under way */
    weft_request held; /* what it lends for the own part, */
    const void *where; /* and where that is */
} weft_reducer_member;

typedef enum weft_reducer_stage { STAGE_NONE, STAGE_ADD, STAGE_GATHER } weft_reducer_stage;

struct weft_reducer {
    weft_reducer_options options;
    int32_t place;
    bool ordered; /* all is given to the stream at once */
    bool borrows; /* then a part is one piece, else a piece is one chunk */
    int32_t *ranks;
    weft_reducer_member *members;
    size_t *bytes;        /* (members) counts of the gather */
    const void **sources; /* (members) what a chunk is added from */
    size_t element_bytes;
    weft_reducer_stage stage;
    const char *values;
    char *out;                            /* the own part's sum */
    void *all;                            /* of an all-reduce: the values, else NULL */
    size_t piece, pieces;                 /* of the own part: being added, and how many there are */
    size_t ended;                         /* pieces whose additions have ended: what they read is free again */
    bool made;                            /* added, where there are several members */
    weft_event added[WEFT_REDUCER_AHEAD]; /* behind the additions of a piece */
    size_t position;                      /* elements of the piece that were added */
    int32_t open;                         /* requests under way */
    weft_request gather;
    bool moved; /* by this poll */
};

size_t weft_reducer_count_pieces(const weft_reducer *r, size_t part);
/* First element of a piece of a part. */
size_t weft_reducer_find_piece(const weft_reducer *r, size_t part, size_t piece, size_t *out_count);
/* Where the messages of a member for a piece arrive. */
char *weft_reducer_slot(const weft_reducer *r, int32_t member, size_t piece);
/* Adds count values of the piece that is being added, from its position on; it begins at `begin` of the own part. */
void weft_reducer_add(weft_reducer *r, size_t begin, size_t count);

/* reduce_ordered.c: gives a sum to the stream of an ordered transport, whole. */
weft_status weft_reducer_enqueue(weft_reducer *r, weft_error *error) WEFT_CHECKED;

#endif
