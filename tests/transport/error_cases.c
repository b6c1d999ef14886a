/* Wrong operands and messages of the wrong size. */
#include "transport_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool case_invalid(weft_transport *t, char *why)
{
    weft_error error;
    weft_request request = -1;
    bool done = false;
    char byte = 0;
    size_t counts[TRANSPORT_CASE_MEMBERS] = {0};
    CHECK(post_send(t, t->size, 0, &byte, 1, &request, &error) == WEFT_INVALID, "peer");
    CHECK(post_receive(t, -1, 0, &byte, 1, &request, &error) == WEFT_INVALID, "peer");
    CHECK(post_send(t, 0, weft_group_tag(TRANSPORT_CASE_GROUPS), &byte, 1, &request, &error) == WEFT_INVALID, "group");
    CHECK(post_send(t, t->rank, weft_group_tag(0), &byte, 1, &request, &error) == WEFT_INVALID, "to itself");
    CHECK(post_receive(t, 0, 0, NULL, 1, &request, &error) == WEFT_INVALID, "buffer");
    CHECK(t->operations->test(t, 0, &done, &error) == WEFT_INVALID, "request");
    CHECK(t->operations->test(t, -1, &done, &error) == WEFT_INVALID, "request");
    CHECK(t->operations->test(t, 1 << 20, &done, &error) == WEFT_INVALID, "request");
    CHECK(t->operations->gather(t, NULL, TRANSPORT_CASE_GROUPS, &byte, counts, &byte, &request, &error) == WEFT_INVALID,
          "group");
    if (t->rank != t->size - 1)
        CHECK(t->operations->gather(t, NULL, 2, &byte, counts, &byte, &request, &error) == WEFT_INVALID,
              "not a member");
    if (t->rank != t->size - 1)
        CHECK(post_receive(t, t->size - 1, weft_group_tag(2), &byte, 1, &request, &error) == WEFT_INVALID, "no member");
    if (t->rank == 0 && t->size > 1)
        CHECK(post_receive(t, 1, weft_group_tag(1), &byte, 1, &request, &error) == WEFT_INVALID, "peer is no member");
    if (t->operations->borrow) {
        const void *where = NULL;
        CHECK(t->operations->borrow(t, t->size, 0, 1, &where, &request, &error) == WEFT_INVALID, "peer");
        CHECK(t->operations->release(t, 0, &error) == WEFT_INVALID, "nothing was borrowed");
        CHECK(t->operations->release(t, -1, &error) == WEFT_INVALID, "request");
    }
    return case_order(t, why);
}

static bool mismatch(weft_transport *t, size_t sent, size_t expected, char *why)
{
    weft_error error;
    if (t->size == 1 || t->rank > 1) return true;
    unsigned char *bytes = calloc(sent > expected ? sent : expected, 1);
    CHECK(bytes, "no memory for the test");
    weft_request request = -1;
    if (t->rank == 1) {
        CHECK_OK(post_send(t, 0, 3, bytes, sent, &request, &error), &error);
        weft_status status = finish_one(t, request, &error); /* no error here, but the stop may be quicker */
        if (status == WEFT_OK) status = await_stop(t, &error);
        CHECK(status == WEFT_STOPPED, "%s", error.text);
    } else {
        CHECK_OK(post_receive(t, 1, 3, bytes, expected, &request, &error), &error);
        CHECK(finish_one(t, request, &error) == WEFT_FAILED, "%zu sent, %zu expected", sent, expected);
        char number[32];
        snprintf(number, sizeof number, "%zu", expected);
        CHECK(strstr(error.text, "worker 1, tag 3") && strstr(error.text, number), "%s", error.text);
    }
    free(bytes);
    return true;
}

/* Each pair of sizes needs its own world: an error ends the run. */
static bool run_mismatch_end(weft_transport *t, size_t sent, size_t expected, char *why)
{
    weft_error error;
    if (!mismatch(t, sent, expected, why)) return false;
    if (t->rank == 0) t->operations->stop(t);
    if (t->rank > 1) CHECK(await_stop(t, &error) == WEFT_STOPPED, "%s", error.text);
    return true;
}

bool case_too_long(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 200, 100, why);
}

bool case_too_short(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 100, 200, why);
}

bool case_much_too_long(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 220000, 130000, why);
}

bool case_much_too_short(weft_transport *t, char *why)
{
    return run_mismatch_end(t, 50000, 130000, why);
}
