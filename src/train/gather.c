/* Gathers between programs, and waiting for them. */
#include "base/clock.h"
#include "train/waiting.h"

#include <stdio.h>
#include <string.h>

weft_status weft_worker_await(weft_worker *worker, weft_request request, const char *what, weft_error *error)
{
    char waiting[96];
    snprintf(waiting, sizeof waiting, "the %s of all ranks", what);
    weft_waiting_publish(worker, "a program", weft_waiting_waits, waiting);
    double since = weft_clock_seconds();
    for (;;) {
        bool done = false;
        TRY(worker->transport->operations->test(worker->transport, request, &done, error));
        if (done) break;
        TRY(weft_waiting_pause(worker, waiting, &since, error));
    }
    weft_waiting_publish(worker, waiting, weft_waiting_runs, "what comes next");
    return WEFT_OK;
}

static weft_status reserve_parts(weft_worker *worker, size_t bytes, weft_error *error)
{
    if (bytes <= worker->gathers.capacity) return WEFT_OK;
    TRY(weft_arena_take(&worker->arena, bytes, 1, &worker->gathers.part, error));
    TRY(weft_arena_take(&worker->arena, bytes, (size_t)worker->job->workers, &worker->gathers.parts, error));
    worker->gathers.capacity = bytes;
    return WEFT_OK;
}

weft_status weft_worker_gather(weft_worker *worker, const void *part, size_t bytes, void *all, const char *what,
                               weft_error *error)
{
    int32_t workers = worker->job->workers;
    if (workers == 1) {
        memcpy(all, part, bytes);
        return WEFT_OK;
    }
    TRY(reserve_parts(worker, bytes, error));
    memcpy(worker->gathers.part, part, bytes);
    for (int32_t w = 0; w < workers; w++) worker->gathers.bytes[w] = bytes;
    weft_request request = -1;
    TRY(worker->transport->operations->gather(worker->transport, NULL, WEFT_GROUP_ALL, worker->gathers.part,
                                              worker->gathers.bytes, worker->gathers.parts, &request, error));
    TRY(weft_worker_await(worker, request, what, error));
    memcpy(all, worker->gathers.parts, bytes * (size_t)workers);
    return WEFT_OK;
}
