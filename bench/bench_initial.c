/*
 * Times what a run begins with: initial weights, one by one and by the range, and memory of the cpu device.
 *
 *     bench_initial [threads]
 *
 * Prints nanoseconds an element and how many times as fast as one by one, each way in turn and the best of its turns;
 * then the rate at which memory is taken, and that of zeroing it again.
 */
#include "base/clock.h"
#include "base/normals.h"
#include "device/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 1 << 22, GRAIN = 1 << 13, TURNS = 7, WAYS = WEFT_VECTOR_SETS + 2, THREADS = WAYS - 1 };

static const size_t BYTES = (size_t)1 << 30;
static const double DEVIATION = 0.02;

typedef struct bench {
    weft_device *device;
    weft_random_key key;
    float *out; /* (COUNT) */
} bench;

static void one_by_one(const bench *b)
{
    for (uint64_t i = 0; i < COUNT; i++) b->out[i] = (float)(DEVIATION * weft_random_normal(b->key, i));
}

static void by_block(const bench *b, const weft_normals *normals)
{
    for (uint64_t i = 0; i < COUNT; i += WEFT_NORMALS_BLOCK) normals->block(b->key, i, DEVIATION, b->out + i);
}

static void make_part(void *context, int64_t begin, int64_t end)
{
    const bench *b = context;
    weft_random_normals(b->key, (uint64_t)begin, DEVIATION, end - begin, b->out + begin);
}

/* Seconds of one way: 0 is one by one, then the sets, then the best of them on all threads. NAN: not here. */
static double time_way(bench *b, int way)
{
    const weft_normals *normals = way > 0 && way < THREADS ? weft_normals_get((weft_vectors)(way - 1)) : NULL;
    if (way > 0 && way < THREADS && normals == NULL) return (double)NAN;
    double begin = weft_clock_seconds();
    if (way == 0)
        one_by_one(b);
    else if (way < THREADS)
        by_block(b, normals);
    else
        weft_device_divide(b->device, COUNT, GRAIN, make_part, b);
    return weft_clock_seconds() - begin;
}

static void report_weights(bench *b)
{
    double best[WAYS] = {0};
    for (int turn = 0; turn < TURNS; turn++)
        for (int way = 0; way < WAYS; way++) best[way] = turn ? fmin(best[way], time_way(b, way)) : time_way(b, way);
    printf("%-16s %14s %8s\n", "initial weights", "ns an element", "faster");
    for (int way = 0; way < WAYS; way++) {
        char name[32] = "one by one";
        if (isnan(best[way])) continue;
        if (way == THREADS) snprintf(name, sizeof name, "%d threads", (int)b->device->threads);
        if (way > 0 && way < THREADS)
            snprintf(name, sizeof name, "%s", weft_normals_get((weft_vectors)(way - 1))->name);
        printf("%-16s %14.2f %8.1f\n", name, best[way] / COUNT * 1e9, best[0] / best[way]);
    }
}

static weft_status report_memory(const bench *b, weft_error *error)
{
    const weft_device_operations *operations = b->device->operations;
    double taken = INFINITY, zeroed = INFINITY;
    for (int turn = 0; turn < TURNS; turn++) {
        void *memory = NULL;
        double begin = weft_clock_seconds();
        TRY(operations->allocate(b->device, WEFT_MEMORY_DEVICE, BYTES, &memory, error));
        double middle = weft_clock_seconds();
        operations->zero(b->device, NULL, memory, BYTES);
        taken = fmin(taken, middle - begin);
        zeroed = fmin(zeroed, weft_clock_seconds() - middle);
        operations->release(b->device, memory);
    }
    printf("memory: taken at %.1f GB/s, zeroed again at %.1f GB/s\n", (double)BYTES * 1e-9 / taken,
           (double)BYTES * 1e-9 / zeroed);
    return WEFT_OK;
}

int main(int count, char **arguments)
{
    const weft_device_kind *kind = weft_device_kind_find("cpu");
    weft_device_options options = {.threads = count > 1 ? atoi(arguments[1]) : 2};
    weft_error error = {0};
    bench b = {.key = weft_random_key_make(1, "embedding.token")};
    if (kind == NULL) {
        printf("this build has no cpu device\n");
        return 1;
    }
    weft_status status = kind->create(&options, &b.device, &error);
    if (status == WEFT_OK) status = weft_allocate(COUNT, sizeof *b.out, &b.out, &error);
    if (status == WEFT_OK) {
        report_weights(&b);
        status = report_memory(&b, &error);
    }
    if (status != WEFT_OK) printf("failed: %s\n", error.text);
    weft_free(b.out);
    if (b.device != NULL) b.device->operations->destroy(b.device);
    return status == WEFT_OK ? 0 : 1;
}
