/* The best matrix product of a GPU: squares of growing sides, timed by events. */
#include "device/cuda/products.h"
#include "device/kinds.h"

enum { SHORTEST = 256, LONGEST = 8192, SIDES = 6, PIECE = 1 << 20 /* bytes */, MOST = 1000 };

typedef struct square {
    weft_device *device;
    int64_t side;
    void *x, *w, *y, *workspace;
    weft_event begin, end;
} square;

static double flops_of(int64_t side)
{
    return 2.0 * (double)side * (double)side * (double)side;
}

/* Numbers that are neither few nor all alike: a GPU takes more power for them, and becomes slower. */
static weft_status fill(weft_device *device, void *memory, size_t bytes, weft_error *error)
{
    uint16_t *piece = NULL;
    TRY(weft_allocate(PIECE / sizeof *piece, sizeof *piece, &piece, error));
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < PIECE / sizeof *piece; i++) /* halves of a float, too: both are small numbers */
        piece[i] = weft_bf16_from_float((float)(i * 2654435761 % 2048) / 1024.0f - 1.0f);
    for (size_t at = 0; at < bytes && status == WEFT_OK; at += PIECE)
        status = device->operations->write(device, (char *)memory + at, piece,
                                           bytes - at < PIECE ? bytes - at : (size_t)PIECE, error);
    weft_free(piece);
    return status;
}

static weft_status take(const weft_device_options *options, square *of, weft_error *error)
{
    weft_device *device = of->device;
    const weft_device_operations *o = device->operations;
    const size_t bytes = (size_t)(of->side * of->side) * weft_element_bytes(device->element);
    const size_t workspace = weft_cuda_linear_workspace(options, &(weft_linear){of->side, of->side, of->side});
    TRY(o->allocate(device, WEFT_MEMORY_DEVICE, bytes, &of->x, error));
    TRY(o->allocate(device, WEFT_MEMORY_DEVICE, bytes, &of->w, error));
    TRY(o->allocate(device, WEFT_MEMORY_DEVICE, bytes, &of->y, error));
    TRY(o->allocate(device, WEFT_MEMORY_DEVICE, workspace, &of->workspace, error));
    TRY(fill(device, of->x, bytes, error));
    return fill(device, of->w, bytes, error);
}

static void give_back(square *of)
{
    void *const all[] = {of->x, of->w, of->y, of->workspace};
    for (int i = 0; i < 4; i++) of->device->operations->release(of->device, all[i]);
}

static weft_status time_products(square *of, int64_t count, double *out_seconds, weft_error *error)
{
    weft_device *device = of->device;
    const weft_device_operations *o = device->operations;
    const weft_linear linear = {of->side, of->side, of->side};
    o->event_record(device, NULL, &of->begin);
    for (int64_t i = 0; i < count; i++)
        o->linear_forward(device, NULL, &linear, of->x, of->w, NULL, of->y, of->workspace);
    o->event_record(device, NULL, &of->end);
    TRY(o->stream_wait(device, NULL, error));
    *out_seconds = (double)(o->event_time(device, &of->end) - o->event_time(device, &of->begin)) * 1e-9;
    if (*out_seconds < 1e-9) *out_seconds = 1e-9;
    return weft_device_check(device, error);
}

/* The first product chooses its algorithm and is not counted. */
static weft_status measure_side(square *of, double seconds, double *best, weft_error *error)
{
    double once = 0.0, all = 0.0;
    TRY(time_products(of, 1, &once, error));
    TRY(time_products(of, 1, &once, error));
    const int64_t count = once * MOST < seconds ? MOST : once < seconds ? (int64_t)(seconds / once) : 1;
    TRY(time_products(of, count, &all, error));
    const double rate = (double)count * flops_of(of->side) / all;
    if (rate > *best) *best = rate;
    return WEFT_OK;
}

/* As long as the next side fits into its share of the time, and into memory. */
static weft_status measure_sides(const weft_device_options *options, square *of, double seconds, double *best,
                                 weft_error *error)
{
    weft_status status = WEFT_OK;
    for (int64_t side = SHORTEST; status == WEFT_OK && side <= LONGEST; side *= 2) {
        if (*best > 0.0 && 2.0 * flops_of(side) / *best > seconds) break;
        *of = (square){.device = of->device, .side = side, .begin = of->begin, .end = of->end};
        status = take(options, of, error);
        if (status == WEFT_OK) status = measure_side(of, seconds, best, error);
        give_back(of);
    }
    return status == WEFT_NO_MEMORY ? WEFT_OK : status;
}

weft_status weft_cuda_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                   weft_error *error)
{
    square of = {0};
    *out_flops = 0.0;
    TRY(weft_device_cuda.create(options, &of.device, error));
    const weft_device_operations *o = of.device->operations;
    weft_status status = o->events_create(of.device, 1, &of.begin, error);
    if (status == WEFT_OK) status = o->events_create(of.device, 1, &of.end, error);
    if (status == WEFT_OK) status = measure_sides(options, &of, seconds / SIDES, out_flops, error);
    o->events_destroy(of.device, 1, &of.begin);
    o->events_destroy(of.device, 1, &of.end);
    o->destroy(of.device);
    return status;
}
