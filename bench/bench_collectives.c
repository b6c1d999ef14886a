/*
 * Collectives between workers: GB/s that each worker receives, beside memcpy on all of them at once as the floor.
 *
 * Usage: bench_collectives [WORKERS]: threads of this process (2), over the local transport; under mpirun: its
 * processes.
 */
#include "transport/reduce.h"

#include "base/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOATS = 1 << 24, ROUNDS = 7, MOST = 16 };

typedef struct bench {
    weft_transport *transport;
    weft_reducer *reducer;
    float *values, *other;
    size_t counts[MOST], bytes[MOST];
} bench;

static void end(const weft_error *error)
{
    fprintf(stderr, "bench_collectives: %s\n", error->text);
    exit(1);
}

static void check(weft_status status, const weft_error *error)
{
    if (status != WEFT_OK) end(error);
}

static float *own_part(bench *b)
{
    float *part = b->values;
    for (int32_t i = 0; i < b->transport->rank; i++) part += b->counts[i];
    return part;
}

static weft_status run_copy(bench *b, weft_error *error)
{
    (void)error;
    memcpy(b->other, b->values, (FLOATS - b->counts[0]) * sizeof(float));
    return WEFT_OK;
}

static weft_status run_gather(bench *b, weft_error *error)
{
    const weft_transport_operations *o = b->transport->operations;
    weft_request request = -1;
    TRY(o->gather(b->transport, NULL, 0, own_part(b), b->bytes, b->values, &request, error));
    for (bool done = false;;) {
        TRY(o->test(b->transport, request, &done, error));
        if (done) return WEFT_OK;
        TRY(o->wait(b->transport, 1, error));
    }
}

static weft_status finish(bench *b, weft_error *error)
{
    for (;;) {
        weft_reducer_state state = WEFT_REDUCER_WAITS;
        TRY(weft_reducer_poll(b->reducer, &state, error));
        if (state == WEFT_REDUCER_DONE) return WEFT_OK;
        if (state == WEFT_REDUCER_WAITS) TRY(b->transport->operations->wait(b->transport, 1, error));
    }
}

static weft_status run_scatter(bench *b, weft_error *error)
{
    TRY(weft_reducer_scatter(b->reducer, b->values, b->counts, own_part(b), error));
    return finish(b, error);
}

static weft_status run_all(bench *b, weft_error *error)
{
    TRY(weft_reducer_all(b->reducer, b->values, FLOATS, error));
    return finish(b, error);
}

/* The best of some rounds, each as long as the slowest worker's. */
static double measure(bench *b, weft_status (*run)(bench *b, weft_error *error))
{
    weft_error error;
    const weft_transport_operations *o = b->transport->operations;
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        memset(b->values, 0, FLOATS * sizeof *b->values);
        check(o->barrier(b->transport, 60, &error), &error);
        double begin = weft_clock_seconds();
        check(run(b, &error), &error);
        check(o->barrier(b->transport, 60, &error), &error);
        double seconds = weft_clock_seconds() - begin;
        if (seconds < best) best = seconds;
    }
    return best;
}

/* sent: how often the other members' parts are received. The floor is measured next to it: machines have moods. */
static void report(bench *b, const char *name, size_t chunk, int sent, weft_status (*run)(bench *b, weft_error *error))
{
    double floor = sent * measure(b, run_copy), seconds = measure(b, run);
    double bytes = sent * (double)(FLOATS - b->counts[0]) * sizeof(float);
    char size[32] = "-";
    if (chunk > 0) snprintf(size, sizeof size, "%zu", chunk * sizeof(float) / 1024);
    if (b->transport->rank == 0)
        printf("%-15s  %9s  %6.2f  %6.2f  %6.2f\n", name, size, bytes / seconds * 1e-9, bytes / floor * 1e-9,
               floor / seconds);
}

static void run_reducer(bench *b, weft_device *device, const weft_group *group, size_t chunk)
{
    weft_error error;
    void *workspace = NULL;
    size_t bytes = weft_reducer_workspace(group->count, chunk, WEFT_FP32);
    if (bytes > 0) check(weft_allocate(bytes, 1, &workspace, &error), &error);
    weft_reducer_options options = {b->transport, device, NULL, 1, *group, WEFT_FP32, chunk, workspace};
    check(weft_reducer_create(&options, &b->reducer, &error), &error);
    report(b, "reduce-scatter", chunk, 1, run_scatter);
    report(b, "all-reduce", chunk, 2, run_all);
    weft_reducer_destroy(b->reducer);
    weft_free(workspace);
}

static void run_bench(weft_transport *transport, const weft_group *group)
{
    static const size_t chunks[] = {1 << 14, 1 << 16, 1 << 18, 1 << 20};
    weft_error error;
    bench b = {.transport = transport};
    weft_device *device = NULL;
    const weft_device_kind *kind = weft_device_kind_find("cpu");
    if (!kind) kind = weft_device_kind_find("reference");
    check(kind->create(&(weft_device_options){.element = WEFT_FP32, .threads = 1}, &device, &error), &error);
    check(weft_allocate(FLOATS, sizeof(float), &b.values, &error), &error);
    check(weft_allocate(FLOATS, sizeof(float), &b.other, &error), &error);
    for (int32_t i = 0; i < group->count; i++) {
        b.counts[i] = FLOATS / (size_t)group->count + (i == 0) * (FLOATS % (size_t)group->count);
        b.bytes[i] = b.counts[i] * sizeof(float);
    }
    if (transport->rank == 0) printf("collective       chunk KiB    GB/s  memcpy   ratio\n");
    report(&b, "gather", 0, 1, run_gather);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) run_reducer(&b, device, group, chunks[i]);
    transport->operations->destroy(transport);
    device->operations->destroy(device);
    weft_free(b.values);
    weft_free(b.other);
}

typedef struct worker {
    weft_local_hub *hub;
    const weft_group *group;
    int32_t rank;
} worker;

static void *work(void *pointer)
{
    worker *w = pointer;
    weft_error error;
    weft_transport *transport = NULL;
    check(weft_local_transport_create(w->hub, w->rank, &transport, &error), &error);
    run_bench(transport, w->group);
    return NULL;
}

static void run_local(const weft_group *groups)
{
    weft_error error;
    weft_local_hub *hub = NULL;
    pthread_t threads[MOST];
    worker workers[MOST];
    check(weft_local_hub_create(groups[0].count, groups, 2, &hub, &error), &error);
    for (int32_t i = 0; i < groups[0].count; i++) {
        workers[i] = (worker){hub, &groups[1], i};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) exit(1);
    }
    for (int32_t i = 0; i < groups[0].count; i++) pthread_join(threads[i], NULL);
    weft_local_hub_destroy(hub);
}

int main(int argc, char **argv)
{
    weft_error error;
    int32_t rank = 0, size = argc > 1 ? atoi(argv[1]) : 2, members[MOST];
    if (weft_mpi_launched(NULL) > 0) check(weft_mpi_start(&rank, &size, &error), &error);
    if (size < 2 || size > MOST) {
        fprintf(stderr, "bench_collectives: 2 to %d workers, not %" PRId32 "\n", MOST, size);
        return 2;
    }
    for (int32_t i = 0; i < size; i++) members[i] = i;
    const weft_group groups[] = {{members, size}, {members, size}}; /* for gathers, for sums */
    if (rank == 0) printf("%" PRId32 " workers, %d MiB of values each\n", size, FLOATS / 1024 / 1024 * 4);
    if (weft_mpi_launched(NULL) > 0) {
        weft_transport *transport = NULL;
        check(weft_mpi_transport_create(groups, 2, &transport, &error), &error);
        run_bench(transport, &groups[1]);
        weft_mpi_finish();
    } else {
        run_local(groups);
    }
    return 0;
}
