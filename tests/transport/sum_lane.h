/* A group with its reducer and the sum or gather that is under way, against the same sum computed by one worker. */
#ifndef WEFT_TESTS_SUM_LANE_H
#define WEFT_TESTS_SUM_LANE_H

#include "transport/reduce.h"
#include "transport_cases.h"

typedef enum sum_kind { SUM_SCATTER, SUM_SCATTER_IN_PLACE, SUM_ALL, SUM_GATHER, SUM_KINDS } sum_kind;

typedef struct sum_lane {
    weft_transport *transport; /* that takes values where they are */
    weft_transport *host;      /* the case's own: waits */
    weft_device *device, *own; /* own: the lane's, in host memory; NULL: the site's */
    weft_stream *stream;
    weft_reducer *reducer;
    void *workspace;
    const weft_group *members;
    weft_element element;
    int32_t group, place;
    /* Of what is under way, set by sum_begin. */
    sum_kind kind;
    uint64_t key;
    size_t counts[TRANSPORT_CASE_MEMBERS], bytes[TRANSPORT_CASE_MEMBERS], total, offset;
    void *values, *out; /* of the device */
    void *begun;        /* pinned: the values, before */
    weft_request gather;
    size_t matters; /* elements that would be others if each addition were rounded, of all sums that were right */
} sum_lane;

/* members: the group's, until sum_close. The lane has to be closed, after an error too. */
weft_status sum_open(sum_lane *lane, weft_transport *t, const weft_group *members, int32_t group, weft_element element,
                     size_t chunk, weft_error *error);
/* With lane->counts (members); an all-reduce takes their total. key: tells sums apart, the same on all members. */
weft_status sum_begin(sum_lane *lane, sum_kind kind, uint64_t key, weft_error *error);
weft_status sum_poll(sum_lane *lane, weft_reducer_state *out, weft_error *error);
weft_status sum_finish(sum_lane *lane, weft_error *error); /* polls and waits until it is done */
weft_status sum_wait(sum_lane *lane, weft_error *error);   /* until something may have moved */
/* Whether every bit is right. */
bool sum_check(sum_lane *lane, char *why);
void sum_close(sum_lane *lane);

#endif
