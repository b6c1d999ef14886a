/* Barriers, reports, stops and waiting. */
#include "transport_cases.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

/* All workers of these tests are on one machine. */
bool case_leader(weft_transport *t, char *why)
{
    weft_error error;
    size_t counts[TRANSPORT_CASE_MEMBERS];
    char own = t->leads_machine, all[TRANSPORT_CASE_MEMBERS];
    int leaders = 0;
    weft_request request = -1;
    for (int32_t i = 0; i < t->size; i++) counts[i] = 1;
    CHECK_OK(t->operations->gather(t, NULL, 0, &own, counts, all, &request, &error), &error);
    CHECK_OK(finish_one(t, request, &error), &error);
    for (int32_t i = 0; i < t->size; i++) leaders += all[i];
    CHECK(leaders == 1, "%d workers lead the machine", leaders);
    return true;
}

bool case_barrier(weft_transport *t, char *why)
{
    for (int round = 0; round < 5; round++) {
        weft_error error;
        size_t counts[TRANSPORT_CASE_MEMBERS];
        int64_t own[2], all[2 * TRANSPORT_CASE_MEMBERS];
        weft_clock_sleep(0.004 * ((t->rank + round) % t->size));
        own[0] = weft_clock_nanoseconds();
        CHECK_OK(meet(t, &error), &error);
        own[1] = weft_clock_nanoseconds();
        for (int32_t i = 0; i < t->size; i++) counts[i] = sizeof own;
        weft_request request = -1;
        CHECK_OK(t->operations->gather(t, NULL, 0, own, counts, all, &request, &error), &error);
        CHECK_OK(finish_one(t, request, &error), &error);
        for (int32_t i = 0; i < t->size; i++)
            CHECK(all[2 * i] <= own[1], "worker %d entered after worker %d had left", i, t->rank);
    }
    return true;
}

bool case_barrier_timeout(weft_transport *t, char *why)
{
    if (t->size == 1) return true;
    weft_error error;
    char byte = 0;
    weft_request request = -1;
    for (int32_t i = 1; i < t->size && t->rank == 0; i++) {
        CHECK_OK(post_receive(t, i, 0, &byte, 1, &request, &error), &error);
        CHECK_OK(finish_one(t, request, &error), &error);
    }
    if (t->rank > 0) {
        CHECK(t->operations->barrier(t, 0.05, &error) == WEFT_TIMEOUT, "worker 0 was not there");
        CHECK(strstr(error.text, "barrier"), "%s", error.text);
        CHECK_OK(post_send(t, 0, 0, &byte, 1, &request, &error), &error);
        CHECK_OK(finish_one(t, request, &error), &error);
    }
    CHECK_OK(meet(t, &error), &error); /* a second try is allowed, and works */
    CHECK_OK(meet(t, &error), &error);
    return true;
}

bool case_interrogate(weft_transport *t, char *why)
{
    weft_error error;
    weft_transport_report reports[TRANSPORT_CASE_MEMBERS];
    char text[400], byte = 0;
    weft_request requests[TRANSPORT_CASE_MEMBERS];
    snprintf(text, sizeof text, "worker %d is idle", t->rank);
    t->operations->publish(t, text);
    CHECK_OK(meet(t, &error), &error);
    if (t->rank == 0) {
        t->operations->interrogate(t, PATIENCE, reports);
        for (int32_t i = 0; i < t->size; i++) {
            snprintf(text, sizeof text, "worker %d is idle", i);
            CHECK(reports[i].answered, "worker %d does not answer", i);
            CHECK(strcmp(reports[i].text, text) == 0, "worker %d says %s", i, reports[i].text);
        }
        for (int32_t i = 1; i < t->size; i++) CHECK_OK(post_send(t, i, 0, &byte, 1, &requests[i - 1], &error), &error);
        CHECK_OK(finish(t, requests, t->size - 1, &error), &error);
    } else {
        CHECK_OK(post_receive(t, 0, 0, &byte, 1, requests, &error), &error);
        CHECK_OK(finish(t, requests, 1, &error), &error);
    }
    memset(text, 'x', sizeof text - 1); /* a text that is too long is cut */
    text[sizeof text - 1] = '\0';
    t->operations->publish(t, text);
    CHECK_OK(meet(t, &error), &error);
    t->operations->interrogate(t, PATIENCE, reports); /* everybody asks at once */
    for (int32_t i = 0; i < t->size; i++) {
        CHECK(reports[i].answered, "worker %d does not answer", i);
        CHECK(strlen(reports[i].text) == WEFT_TRANSPORT_REPORT - 1, "worker %d says %s", i, reports[i].text);
    }
    CHECK_OK(meet(t, &error), &error);
    return true;
}

bool case_stop(weft_transport *t, char *why)
{
    weft_error error;
    bool done = true;
    char byte = 0;
    weft_request request = -1;
    if (t->size == 1) return true;
    int32_t last = t->size - 1;
    CHECK_OK(meet(t, &error), &error);
    if (t->rank == last) {
        t->operations->publish(t, "lost its mind");
        weft_clock_sleep(0.05);
        t->operations->stop(t);
        CHECK_OK(t->operations->progress(t, &error), &error);
        return true;
    }
    CHECK_OK(post_receive(t, last, 0, &byte, 1, &request, &error), &error);
    double begin = weft_clock_seconds();
    weft_status status = WEFT_OK;
    while (status == WEFT_OK && weft_clock_seconds() - begin < PATIENCE / 2)
        status = t->operations->wait(t, PATIENCE, &error); /* it may end early */
    CHECK(status == WEFT_STOPPED, "%s", error.text);
    CHECK(weft_clock_seconds() - begin < PATIENCE / 2, "the waiter slept on");
    char expected[64];
    snprintf(expected, sizeof expected, "worker %d stopped", last);
    CHECK(strstr(error.text, expected) && strstr(error.text, "lost its mind"), "%s", error.text);
    CHECK(t->operations->test(t, request, &done, &error) == WEFT_STOPPED && !done, "test");
    CHECK(t->operations->progress(t, &error) == WEFT_STOPPED, "progress");
    CHECK(t->operations->barrier(t, PATIENCE, &error) == WEFT_STOPPED, "barrier");
    return true;
}

bool case_stop_in_barrier(weft_transport *t, char *why)
{
    weft_error error;
    if (t->size == 1) return true;
    CHECK_OK(meet(t, &error), &error);
    if (t->rank == 0) {
        weft_clock_sleep(0.05);
        t->operations->stop(t);
        return true;
    }
    CHECK(t->operations->barrier(t, PATIENCE, &error) == WEFT_STOPPED, "%s", error.text);
    return true;
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool case_idle(weft_transport *t, char *why)
{
    weft_error error;
    char in = 0, out = 0;
    weft_request request = -1;
    int32_t from = (t->rank + t->size - 1) % t->size, to = (t->rank + 1) % t->size;
    CHECK_OK(post_receive(t, from, 0, &in, 1, &request, &error), &error);
    CHECK_OK(meet(t, &error), &error);
    CHECK_OK(t->operations->wait(t, 0, &error), &error); /* takes what was left to be noticed */
    double begin = weft_clock_seconds(), used = processor_seconds();
    CHECK_OK(t->operations->wait(t, 0.5, &error), &error);
    double wall = weft_clock_seconds() - begin;
    used = processor_seconds() - used;
    CHECK(wall >= 0.45, "wait came back after %.3f s though nothing had moved", wall);
    CHECK(wall < PATIENCE / 2, "wait overslept: %.3f s", wall);
    CHECK(used < 0.3 * wall, "%.3f s of processor time in %.3f s of waiting", used, wall);
    CHECK_OK(meet(t, &error), &error);
    weft_request send = -1;
    CHECK_OK(post_send(t, to, 0, &out, 1, &send, &error), &error);
    CHECK_OK(finish_one(t, request, &error), &error);
    CHECK_OK(finish_one(t, send, &error), &error);
    return true;
}

/* What completes while another request is tested must not be slept over. */
bool case_no_lost_wake(weft_transport *t, char *why)
{
    weft_error error;
    char in[2] = {0}, out[2] = {0};
    weft_request receives[2], sends[2];
    int32_t from = (t->rank + t->size - 1) % t->size, to = (t->rank + 1) % t->size;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 2; i++) CHECK_OK(post_receive(t, from, i, &in[i], 1, &receives[i], &error), &error);
        CHECK_OK(post_send(t, to, 1, &out[1], 1, &sends[1], &error), &error);
        CHECK_OK(meet(t, &error), &error);
        bool done = false;
        CHECK_OK(t->operations->test(t, receives[0], &done, &error), &error);
        CHECK(!done, "nothing was sent on this tag");
        double begin = weft_clock_seconds();
        CHECK_OK(t->operations->wait(t, PATIENCE, &error), &error);
        CHECK(weft_clock_seconds() - begin < PATIENCE / 2, "wait slept over a message");
        CHECK_OK(meet(t, &error), &error); /* everybody has looked before anything comes on this tag */
        CHECK_OK(post_send(t, to, 0, &out[0], 1, &sends[0], &error), &error);
        CHECK_OK(finish(t, receives, 2, &error), &error);
        CHECK_OK(finish(t, sends, 2, &error), &error);
    }
    return true;
}
