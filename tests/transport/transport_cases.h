/*
 * One set of cases for every transport: each worker runs the same function on its own endpoint.
 *
 * A case returns false after writing what went wrong into `why`. A case that needs a peer does nothing in a world of
 * one. Workers must not share anything but the transport.  Threads: one per endpoint.
 */
#ifndef WEFT_TESTS_TRANSPORT_CASES_H
#define WEFT_TESTS_TRANSPORT_CASES_H

#include "device/device.h"
#include "transport/transport.h"

#include <stdio.h>

enum {
    TRANSPORT_CASE_TEXT = 2048,
    TRANSPORT_CASE_GROUPS = 8,
    TRANSPORT_CASE_MEMBERS = 64,
    PATIENCE = 60, /* seconds after which something is said to hang */
};

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            int length_ = snprintf(why, TRANSPORT_CASE_TEXT, "%s:%d: %s: ", __FILE__, __LINE__, #condition);           \
            snprintf(why + length_, TRANSPORT_CASE_TEXT - (size_t)length_, __VA_ARGS__);                               \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)
#define CHECK_OK(expression, error) CHECK((expression) == WEFT_OK, "%s", (error)->text)

typedef struct transport_case {
    const char *name;
    bool (*run)(weft_transport *transport, char *why);
    void (*after)(int32_t rank); /* frees what had to stay until the endpoint was destroyed; NULL: nothing had */
    bool at_once;                /* a transport that delays what it is told cannot pass it */
    bool ends_busy; /* transfers are under way at its end: where MPI may still write stays until the process ends */
} transport_case;

extern const transport_case transport_cases[];
extern const int transport_case_count;

/* The groups that the cases expect: 0 everybody, 1 the even ranks, 2 the last rank alone; 3 to 5 the same again, 6 and
 * 7 the lower and the upper half with rank size / 2 in both, all for sums. */
typedef struct transport_case_groups {
    int32_t everybody[TRANSPORT_CASE_MEMBERS], even[TRANSPORT_CASE_MEMBERS], last[1], upper[TRANSPORT_CASE_MEMBERS];
    weft_group groups[TRANSPORT_CASE_GROUPS];
} transport_case_groups;

void transport_case_groups_init(transport_case_groups *groups, int32_t size);

/* What the cases run on: an endpoint, with another round it for each setting that is not 0. */
typedef struct transport_case_setting {
    double longest; /* seconds of the longest delay */
    size_t piece;   /* bytes of staging: everything travels between the memories of deferred devices */
} transport_case_setting;

/* A worker's endpoint, where device memory travels the device, and what the cases need to work with its memory
 * themselves: the endpoint that takes a stream, and a stream. */
typedef struct transport_case_site {
    transport_case_groups groups;
    weft_transport *transport, *inner;
    weft_device *device;
    weft_stream *stream;
} transport_case_site;

/* case_site.c */
/* Takes the endpoint over when it succeeds. A site stays where it is until its end, which destroys all. */
weft_status transport_case_site_init(transport_case_site *site, weft_transport *endpoint,
                                     const transport_case_setting *setting, weft_error *error);
void transport_case_site_leave(transport_case_site *site); /* destroys the endpoint */
void transport_case_site_fini(transport_case_site *site);  /* and now the device */
/* The site of this rank in this process. */
const transport_case_site *transport_case_site_of(const weft_transport *transport);

/* case_tools.c */
weft_status post_send(weft_transport *t, int32_t peer, int32_t tag, const void *bytes, size_t count, weft_request *out,
                      weft_error *error);
weft_status post_receive(weft_transport *t, int32_t peer, int32_t tag, void *bytes, size_t count, weft_request *out,
                         weft_error *error);
/* Tests and waits until all requests are done (they become -1), for PATIENCE seconds at most. */
weft_status finish(weft_transport *t, weft_request *requests, int count, weft_error *error);
weft_status finish_one(weft_transport *t, weft_request request, weft_error *error);
weft_status meet(weft_transport *t, weft_error *error); /* a barrier */
/* Waits until the transport says that another worker stopped the run. */
weft_status await_stop(weft_transport *t, weft_error *error);
/* Content: byte i of a message is known from its key. */
void fill(unsigned char *bytes, size_t count, uint64_t key);
bool is_filled(const unsigned char *bytes, size_t count, uint64_t key);
/* Sizes are spread over the powers of two; one in eight is empty. */
size_t message_size(uint64_t key);

/* message_cases.c */
bool case_storm(weft_transport *t, char *why);
bool case_order(weft_transport *t, char *why);
bool case_early_receives(weft_transport *t, char *why);
bool case_early_sends(weft_transport *t, char *why);
bool case_borrow(weft_transport *t, char *why);

/* gather_cases.c */
bool case_gather(weft_transport *t, char *why);
bool case_group_message(weft_transport *t, char *why);

/* control_cases.c */
bool case_leader(weft_transport *t, char *why);
bool case_barrier(weft_transport *t, char *why);
bool case_barrier_timeout(weft_transport *t, char *why);
bool case_interrogate(weft_transport *t, char *why);
bool case_stop(weft_transport *t, char *why);
bool case_stop_in_barrier(weft_transport *t, char *why);
bool case_idle(weft_transport *t, char *why);
bool case_no_lost_wake(weft_transport *t, char *why);

/* error_cases.c */
bool case_invalid(weft_transport *t, char *why);
bool case_too_long(weft_transport *t, char *why);
bool case_too_short(weft_transport *t, char *why);
bool case_much_too_long(weft_transport *t, char *why);
bool case_much_too_short(weft_transport *t, char *why);

/* reduce_cases.c */
bool case_sums(weft_transport *t, char *why);
bool case_sums_bf16(weft_transport *t, char *why);
bool case_many_sums(weft_transport *t, char *why);
bool case_sum_awaited(weft_transport *t, char *why);

/* reduce_error_cases.c */
bool case_sum_invalid(weft_transport *t, char *why);
bool case_sum_part_missing(weft_transport *t, char *why);
bool case_sum_part_longer(weft_transport *t, char *why);
bool case_sum_of_another_kind(weft_transport *t, char *why);
bool case_sum_of_other_chunks(weft_transport *t, char *why);
bool case_sum_of_other_elements(weft_transport *t, char *why);
bool case_sum_stopped(weft_transport *t, char *why);
void case_sum_after(int32_t rank);

#endif
