#include "train/exchange.h"

#include "base/clock.h"
#include "train/waiting.h"
#include "transport/reduce.h"

#include <stdio.h>

struct weft_exchange {
    weft_stage_exchange functions;
    weft_worker *worker;
    weft_reducer *reducer;
    weft_exchange_host host;
    int32_t group;       /* of gathers */
    size_t *bytes;       /* (tensor) what each gives in a gather, or elements that each gets of a sum */
    weft_request gather; /* -1: a sum is under way */
};

static weft_status poll(weft_exchange *exchange, bool *out_done, bool *out_moved, weft_error *error)
{
    weft_transport *transport = exchange->worker->transport;
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

/* What is waited for, in words; told to the host. text: memory for it. */
static const char *tell_waiting(const weft_exchange *exchange, char *text, size_t size)
{
    const weft_exchange_host *host = &exchange->host;
    size_t used = (size_t)snprintf(text, size, "%s ", exchange->gather >= 0 ? "a gather of rows" : "a sum of parts");
    weft_world_describe(exchange->worker->job, WEFT_WORLD_TENSOR_GATHER, exchange->worker->at, text + used,
                        size - used);
    return host->waits ? host->waits(host->context, text) : text;
}

static weft_status wait_for_it(weft_exchange *exchange, weft_error *error)
{
    const weft_exchange_host *host = &exchange->host;
    double since = weft_clock_seconds();
    const char *what = NULL;
    char text[WEFT_WORLD_NAMES];
    for (;;) {
        bool done = false, moved = false;
        TRY(poll_or_drive(exchange, &done, &moved, error));
        if (done) break;
        if (moved) {
            since = weft_clock_seconds();
            continue;
        }
        if (!what) what = tell_waiting(exchange, text, sizeof text);
        TRY(weft_waiting_pause(exchange->worker, what, &since, error));
    }
    if (what && host->runs) host->runs(host->context);
    return WEFT_OK;
}

static void gather(void *context, weft_stream *stream, const void *part, size_t bytes, void *whole)
{
    weft_exchange *exchange = context;
    weft_transport *transport = exchange->worker->transport;
    weft_error *error = &exchange->worker->device->error;
    if (error->status != WEFT_OK) return;
    for (int32_t i = 0; i < exchange->worker->job->tensor; i++) exchange->bytes[i] = bytes;
    weft_status status = transport->operations->gather(transport, stream, exchange->group, part, exchange->bytes, whole,
                                                       &exchange->gather, error);
    if (status == WEFT_OK) status = wait_for_it(exchange, error);
    (void)status; /* the device has it */
}

static void reduce(void *context, weft_stream *stream, const void *whole, size_t count, void *part)
{
    (void)stream;
    weft_exchange *exchange = context;
    weft_error *error = &exchange->worker->device->error;
    if (error->status != WEFT_OK) return;
    for (int32_t i = 0; i < exchange->worker->job->tensor; i++) exchange->bytes[i] = count;
    exchange->gather = -1;
    weft_status status = weft_reducer_scatter(exchange->reducer, whole, exchange->bytes, part, error);
    if (status == WEFT_OK) status = wait_for_it(exchange, error);
    (void)status; /* the device has it */
}

static weft_status fill(weft_exchange *exchange, weft_worker *worker, void *workspace, weft_error *error)
{
    const weft_job *job = worker->job;
    *exchange = (weft_exchange){.functions = {exchange, gather, reduce}, .worker = worker, .gather = -1};
    exchange->group = weft_world_group(job, WEFT_WORLD_TENSOR_GATHER, worker->at);
    TRY(weft_arena_take(&worker->arena, (size_t)job->tensor, sizeof *exchange->bytes, &exchange->bytes, error));
    weft_reducer_options options = {.transport = worker->transport,
                                    .device = worker->device,
                                    .element = job->options.element,
                                    .group = weft_world_group(job, WEFT_WORLD_TENSOR_REDUCE, worker->at),
                                    .chunk = WEFT_SHARE_CHUNK,
                                    .workspace = workspace};
    TRY(weft_world_members(job, WEFT_WORLD_TENSOR_REDUCE, worker->at, &worker->arena, &options.members, error));
    return weft_reducer_create(&options, &exchange->reducer, error);
}

weft_status weft_exchange_create(weft_worker *worker, void *workspace, weft_exchange **out, weft_error *error)
{
    TRY(weft_arena_take(&worker->arena, 1, sizeof **out, out, error));
    return fill(*out, worker, workspace, error);
}

void weft_exchange_destroy(weft_exchange *exchange)
{
    if (exchange) weft_reducer_destroy(exchange->reducer);
}

const weft_stage_exchange *weft_exchange_functions(const weft_exchange *exchange)
{
    return exchange ? &exchange->functions : NULL;
}

void weft_exchange_attach(weft_exchange *exchange, weft_exchange_host host)
{
    if (exchange) exchange->host = host;
}
