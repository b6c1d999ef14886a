/*
 * One set of cases for every transport: each worker runs the same function on its own endpoint.
 *
 * A case returns false after writing what went wrong into `why`. A case that needs a peer does nothing in a world of
 * one. Workers must not share anything but the transport.  Threads: one per endpoint.
 */
#ifndef WEFT_TESTS_TRANSPORT_CASES_H
#define WEFT_TESTS_TRANSPORT_CASES_H

#include "transport/transport.h"

enum { TRANSPORT_CASE_TEXT = 2048, TRANSPORT_CASE_GROUPS = 3, TRANSPORT_CASE_MEMBERS = 64 };

typedef struct transport_case {
    const char *name;
    bool (*run)(weft_transport *transport, char *why);
} transport_case;

extern const transport_case transport_cases[];
extern const int transport_case_count;

/* The groups that the cases expect: 0 everybody, 1 the even ranks, 2 the last rank alone. */
typedef struct transport_case_groups {
    int32_t everybody[TRANSPORT_CASE_MEMBERS], even[TRANSPORT_CASE_MEMBERS], last[1];
    weft_group groups[TRANSPORT_CASE_GROUPS];
} transport_case_groups;

void transport_case_groups_init(transport_case_groups *groups, int32_t size);

#endif
