#include "device/cpu/cpu.h"

#include "base/clock.h"
#include "base/memory.h"
#include "device/kinds.h"

/* Sides of the square products that are tried; which is fastest depends on the caches. */
static const int64_t sides[] = {1024, 1536, 2048};
enum { SIDES = sizeof sides / sizeof *sides };

typedef struct operand_set {
    void *x, *w, *y, *workspace;
} operand_set;

static double time_product(weft_device *device, const weft_linear *linear, const operand_set *set)
{
    double begin = weft_clock_seconds();
    device->operations->linear_forward(device, NULL, linear, set->x, set->w, NULL, set->y, set->workspace);
    return weft_clock_seconds() - begin;
}

static void fill(weft_element element, int64_t count, void *memory)
{
    for (int64_t i = 0; i < count; i++) {
        float value = (float)(i * 2654435761 % 2048) / 1024.0f - 1.0f;
        if (element == WEFT_BF16) {
            ((uint16_t *)memory)[i] = weft_bf16_from_float(value);
        } else {
            ((float *)memory)[i] = value;
        }
    }
}

/* The best rate of one side within seconds; the first product makes the primitive and is not counted. */
static void measure_side(weft_device *device, int64_t side, const operand_set *set, double seconds, double *best)
{
    weft_linear linear = {side, side, side};
    (void)time_product(device, &linear, set);
    double end = weft_clock_seconds() + seconds;
    do {
        double rate = 2.0 * (double)side * (double)side * (double)side / time_product(device, &linear, set);
        if (rate > *best) *best = rate;
    } while (weft_clock_seconds() < end);
}

weft_status weft_cpu_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                  weft_error *error)
{
    *out_flops = 0.0;
    const int64_t count = sides[SIDES - 1] * sides[SIDES - 1];
    size_t workspace = 64, element = weft_element_bytes(options->element);
    for (int i = 0; i < SIDES; i++) {
        size_t bytes = weft_cpu_linear_workspace(options, &(weft_linear){sides[i], sides[i], sides[i]});
        if (bytes > workspace) workspace = bytes;
    }
    weft_device *device = NULL;
    operand_set set = {0};
    weft_status status = weft_device_cpu.create(options, &device, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)count, element, &set.x, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)count, element, &set.w, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)count, element, &set.y, error);
    if (status == WEFT_OK) status = weft_allocate(workspace, 1, &set.workspace, error);
    if (status == WEFT_OK) {
        fill(options->element, count, set.x);
        fill(options->element, count, set.w);
        for (int i = 0; i < SIDES; i++) measure_side(device, sides[i], &set, seconds / SIDES, out_flops);
        status = weft_device_check(device, error);
    }
    weft_free(set.workspace);
    weft_free(set.y);
    weft_free(set.w);
    weft_free(set.x);
    if (device != NULL) device->operations->destroy(device);
    return status;
}
