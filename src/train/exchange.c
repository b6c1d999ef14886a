#include "train/exchange.h"

#include "base/clock.h"
#include "train/look.h"
#include "train/waiting.h"
#include "transport/reduce.h"

#include <sched.h>
#include <stdio.h>

/*
 * Seconds after the last move in which a worker looks again at once, giving way to any thread that could compute; then
 * it sleeps. The others are in the same place of the same pass: what comes is microseconds away, and waking up takes
 * about as long. A long message over MPI moves only while both look: asleep in between, a bf16 step of four layers of
 * 768, 1024 rows, took 0.37 s instead of 0.27.
 */
static const double patience = 500e-6;

struct weft_exchange {
    weft_stage_exchange functions;
    weft_worker *worker; /* that waits */
    weft_transport *transport;
    weft_device *device;
    bool host_reaches; /* weft_device_kind */
    weft_reducer *reducer;
    weft_exchange_host host;
    weft_group members;
    int32_t group; /* of gathers */
    char with[WEFT_WORLD_NAMES];
    size_t *bytes;       /* (tensor) what each gives in a gather, or elements that each gets of a sum */
    weft_request gather; /* -1: a sum is under way */
};

static weft_status poll(weft_exchange *exchange, bool *out_done, bool *out_moved, weft_error *error)
{
    weft_transport *transport = exchange->transport;
    weft_reducer_state state = WEFT_REDUCER_WAITS;
    if (exchange->gather >= 0) return transport->operations->test(transport, exchange->gather, out_done, error);
    TRY(weft_reducer_poll(exchange->reducer, &state, error));
    *out_done = state == WEFT_REDUCER_DONE;
    *out_moved = state == WEFT_REDUCER_MOVED;
    return WEFT_OK;
}

static weft_status poll_or_drive(weft_exchange *exchange, bool *out_done, bool *out_moved, weft_error *error)
{
    const weft_exchange_host *host = &exchange->host;
    *out_done = *out_moved = false;
    TRY(poll(exchange, out_done, out_moved, error));
    if (*out_done || *out_moved || !host->drive) return WEFT_OK;
    return host->drive(host->context, out_moved, error);
}

/* What is under way and whom it waits for. */
static void describe(const weft_exchange *exchange, char *out, size_t size)
{
    bool gathers = exchange->gather >= 0;
    int32_t peer = gathers ? -1 : weft_reducer_awaited(exchange->reducer);
    const char *what = gathers ? "gather of rows" : "sum of parts";
    if (peer >= 0)
        snprintf(out, size, "a %s with rank %d", what, peer);
    else
        snprintf(out, size, "a %s %s", what, exchange->with);
}

static const char *tell(const weft_exchange *exchange)
{
    char what[32 + WEFT_WORLD_NAMES];
    describe(exchange, what, sizeof what);
    return exchange->host.waits(exchange->host.context, what);
}

/* Of additions: sleeps until the device may have ended them. */
static weft_status pause_adding(const weft_exchange *exchange, const weft_event *adding, weft_look *look,
                                weft_error *error)
{
    int64_t due = exchange->device->operations->event_due(exchange->device, adding);
    return exchange->transport->operations->wait(exchange->transport, weft_look_next(look, due), error);
}

static weft_status wait_for_it(weft_exchange *exchange, weft_error *error)
{
    double since = weft_clock_seconds();
    const char *what = NULL;
    weft_look look = {0};
    for (bool told = false;;) {
        bool done = false, moved = false;
        TRY(poll_or_drive(exchange, &done, &moved, error));
        if (done) break;
        const weft_event *adding = exchange->gather >= 0 ? NULL : weft_reducer_adding(exchange->reducer);
        if (moved) {
            since = weft_clock_seconds();
            look = (weft_look){0};
            told = false;
        } else if (adding) {
            TRY(pause_adding(exchange, adding, &look, error));
        } else if (exchange->host_reaches && weft_clock_seconds() - since < patience) {
            sched_yield();
        } else {
            if (!told) what = tell(exchange);
            told = true;
            TRY(weft_waiting_pause(exchange->worker, what, &since, error));
        }
    }
    if (what) exchange->host.runs(exchange->host.context);
    return WEFT_OK;
}

static void gather(void *context, weft_stream *stream, const void *part, size_t bytes, void *whole)
{
    weft_exchange *exchange = context;
    weft_transport *transport = exchange->transport;
    weft_error *error = &exchange->device->error;
    if (error->status != WEFT_OK) return;
    for (int32_t i = 0; i < exchange->members.count; i++) exchange->bytes[i] = bytes;
    weft_status status =
        transport->operations->gather(transport, exchange->host_reaches ? NULL : stream, exchange->group, part,
                                      exchange->bytes, whole, &exchange->gather, error);
    if (status == WEFT_OK) status = wait_for_it(exchange, error);
    (void)status; /* the device has it */
}

static void reduce(void *context, weft_stream *stream, const void *whole, size_t count, void *part)
{
    (void)stream;
    weft_exchange *exchange = context;
    weft_error *error = &exchange->device->error;
    if (error->status != WEFT_OK) return;
    for (int32_t i = 0; i < exchange->members.count; i++) exchange->bytes[i] = count;
    exchange->gather = -1;
    weft_status status = weft_reducer_scatter(exchange->reducer, whole, exchange->bytes, part, error);
    if (status == WEFT_OK) status = wait_for_it(exchange, error);
    (void)status; /* the device has it */
}

weft_status weft_exchange_create(weft_worker *worker, struct weft_reducer *reducer, weft_exchange **out,
                                 weft_error *error)
{
    weft_exchange *exchange = NULL;
    TRY(weft_arena_take(&worker->arena, 1, sizeof *exchange, &exchange, error));
    *exchange = (weft_exchange){.functions = {exchange, gather, reduce},
                                .worker = worker,
                                .transport = worker->transport,
                                .device = worker->device,
                                .host_reaches = worker->job->device->host_reaches,
                                .reducer = reducer,
                                .group = weft_world_group(worker->job, WEFT_WORLD_TENSOR_GATHER, worker->at),
                                .gather = -1};
    weft_world_describe(worker->job, WEFT_WORLD_TENSOR_GATHER, worker->at, exchange->with, sizeof exchange->with);
    TRY(weft_world_members(worker->job, WEFT_WORLD_TENSOR_GATHER, worker->at, &worker->arena, &exchange->members,
                           error));
    *out = exchange;
    return weft_arena_take(&worker->arena, (size_t)exchange->members.count, sizeof *exchange->bytes, &exchange->bytes,
                           error);
}

const weft_stage_exchange *weft_exchange_functions(const weft_exchange *exchange)
{
    return exchange ? &exchange->functions : NULL;
}

void weft_exchange_attach(weft_exchange *exchange, weft_exchange_host host)
{
    if (exchange) exchange->host = host;
}
